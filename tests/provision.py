"""What the recordings need on a server, made through its API by an administrator: two users, eleven processes.

They are those of the sandbox. What is there by its name is left as it is; what is missing is created, with BPMN of our
own: start events for the users who may start, tasks in a row for whoever started, an end.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import httpx
from processmaker.sandbox import SIMPLE_PROCESSES, Process
from processmaker.sandbox._objects import users

CATEGORY = "Recordings"
BPMN = "http://www.omg.org/spec/BPMN/20100524/MODEL"
BPMNDI = "http://www.omg.org/spec/BPMN/20100524/DI"
DC = "http://www.omg.org/spec/DD/20100524/DC"
DI = "http://www.omg.org/spec/DD/20100524/DI"
PM = "http://processmaker.com/BPMN/2.0/Schema.xsd"
PREFIXES = {"bpmn": BPMN, "bpmndi": BPMNDI, "dc": DC, "di": DI, "pm": PM}
NIGHTLY = "R/2026-01-01T03:00:00Z/P1D"
SENDS_EMAIL = json.dumps({"isActionsByEmail": True})


class NotProvided(Exception):
    """What the server does not have, and did not let us make."""


def bpmn(process: Process, assigned: list[int]) -> str:
    """The process as BPMN 2.0, startable by the users with these ids."""
    for prefix, namespace in PREFIXES.items():
        ElementTree.register_namespace(prefix, namespace)
    whole = ElementTree.Element(
        f"{{{BPMN}}}definitions", {"id": "definitions", "targetNamespace": "http://bpmn.io/schema/bpmn"}
    )
    name = process.bpmn_name or process.name
    flow = ElementTree.SubElement(whole, f"{{{BPMN}}}process", {"id": "P1", "name": name, "isExecutable": "true"})
    nodes: list[tuple[str, ElementTree.Element]] = []

    def node(kind: str, identity: str, name: str, **more: str) -> ElementTree.Element:
        attributes = {"id": identity, "name": name, **{f"{{{PM}}}{key}": value for key, value in more.items()}}
        made = ElementTree.SubElement(flow, f"{{{BPMN}}}{kind}", attributes)
        nodes.append((identity, made))
        return made

    users = {"assignment": "user", "assignedUsers": ",".join(map(str, assigned))} if assigned else {}
    for event in process.start_events:
        start = node("startEvent", event.id, event.name, **({} if event.timer else users))
        if event.timer:
            timer = ElementTree.SubElement(start, f"{{{BPMN}}}timerEventDefinition", {"id": "td"})
            ElementTree.SubElement(timer, f"{{{BPMN}}}timeCycle").text = NIGHTLY
    for task in process.nodes:
        config = {"config": SENDS_EMAIL} if process.fails_with else {}
        node("task", task.id, task.name, assignment="requester", **config)
    node("endEvent", "node_end", "End")
    path = [task.id for task in process.nodes] + ["node_end"]
    flows = [(event.id, path[0]) for event in process.start_events] + list(pairwise(path))
    if process.broken:
        flows.append((process.start_events[0].id, "node_missing"))
    elements = dict(nodes)
    for number, (source, target) in enumerate(flows, 1):
        ends = {"id": f"flow_{number}", "sourceRef": source, "targetRef": target}
        ElementTree.SubElement(flow, f"{{{BPMN}}}sequenceFlow", ends)
        for end, word in ((source, "outgoing"), (target, "incoming")):
            if end in elements:
                reference = ElementTree.Element(f"{{{BPMN}}}{word}")
                reference.text = f"flow_{number}"
                # The references come before what defines the event.
                at = sum(child.tag in (f"{{{BPMN}}}incoming", f"{{{BPMN}}}outgoing") for child in elements[end])
                elements[end].insert(at if word == "outgoing" else 0, reference)
    _draw(whole, nodes, flows)
    return ElementTree.tostring(whole, encoding="unicode", xml_declaration=True)


def _draw(
    whole: ElementTree.Element, nodes: list[tuple[str, ElementTree.Element]], flows: list[tuple[str, str]]
) -> None:
    """Where the modeler shows it all: start events below each other, the rest in a row."""
    diagram = ElementTree.SubElement(whole, f"{{{BPMNDI}}}BPMNDiagram", {"id": "diagram"})
    plane = ElementTree.SubElement(diagram, f"{{{BPMNDI}}}BPMNPlane", {"id": "plane", "bpmnElement": "P1"})
    middles: dict[str, tuple[int, int]] = {}
    starts = 0
    for identity, made in nodes:
        is_start = made.tag.endswith("startEvent")
        column, row = (0, starts) if is_start else (len(middles) - starts + 1, 0)
        starts += is_start
        width, height = (116, 76) if made.tag.endswith("task") else (36, 36)
        middles[identity] = x, y = 100 + 180 * column, 100 + 100 * row
        bounds = {"x": str(x - width // 2), "y": str(y - height // 2), "width": str(width), "height": str(height)}
        shape = {"id": f"{identity}_di", "bpmnElement": identity}
        ElementTree.SubElement(
            ElementTree.SubElement(plane, f"{{{BPMNDI}}}BPMNShape", shape), f"{{{DC}}}Bounds", bounds
        )
    for number, (source, target) in enumerate(flows, 1):
        edge = ElementTree.SubElement(
            plane, f"{{{BPMNDI}}}BPMNEdge", {"id": f"flow_{number}_di", "bpmnElement": f"flow_{number}"}
        )
        for end in (source, target):
            x, y = middles.get(end, (800, 400))
            ElementTree.SubElement(edge, f"{{{DI}}}waypoint", {"x": str(x), "y": str(y)})


class Administrator:
    """A server's API, called with an administrator's token.

    Args:
        site: the server's address.
        token: the token.
        password: what users that are missing get as their password.
    """

    def __init__(self, site: str, token: str, password: str) -> None:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=f"{site}/api/1.0", headers=headers, timeout=60)
        self._password = password
        self.created: list[str] = []

    def provide(self) -> dict[str, int]:
        """The ids of the processes by their names, after creating what is missing.

        Raises:
            NotProvided: the server did not let us; the message has its words.
        """
        with self._http:
            starters = {user for process in SIMPLE_PROCESSES for user in process.users}
            ids = {user.id: self._user(user.username) for user in users() if user.id in starters}
            there = self._all("/processes", "name")
            category: int | None = None
            for process in SIMPLE_PROCESSES:
                if process.name not in there:
                    category = category or self._category()
                    assigned = [ids[user] for user in process.users]
                    body = {"name": process.name, "description": process.description, "status": process.status}
                    more = {"process_category_id": category, "bpmn": bpmn(process, assigned)}
                    there[process.name] = self._create("/processes", process.name, body | more)
            return {process.name: there[process.name] for process in SIMPLE_PROCESSES}

    def _user(self, username: str) -> int:
        there = self._all("/users", "username", filter=username)
        if username in there:
            return there[username]
        user = next(user for user in users() if user.username == username)
        names = {"username": username, "firstname": user.firstname, "lastname": user.lastname, "email": user.email}
        return self._create("/users", username, names | {"password": self._password, "status": "ACTIVE"})

    def _category(self) -> int:
        there = self._all("/process_categories", "name", filter=CATEGORY)
        if CATEGORY in there:
            return there[CATEGORY]
        return self._create("/process_categories", CATEGORY, {"name": CATEGORY, "status": "ACTIVE"})

    def _all(self, path: str, name: str, **query: str) -> dict[str, int]:
        """The ids of what is listed there, by name, over all pages."""
        found: dict[str, int] = {}
        page, last = 1, 1
        while page <= last:
            told = self._ask("GET", path, "could not be listed", params={"per_page": 100, "page": page, **query})
            found |= {row[name]: int(row["id"]) for row in told["data"]}
            page, last = page + 1, int(told.get("meta", {}).get("last_page") or 1)
        return found

    def _create(self, path: str, name: str, body: dict[str, Any]) -> int:
        made = int(self._ask("POST", path, f'"{name}" could not be created', json=body)["id"])
        self.created.append(name)
        return made

    def _ask(self, method: str, path: str, failed: str, **more: Any) -> Any:
        answer = self._http.request(method, path, **more)
        try:
            told = answer.json()
        except ValueError:
            told = None
        if not answer.is_success or not isinstance(told, dict):
            raise NotProvided(
                f"{method} {path}: {failed}: the server answered {answer.status_code} {answer.text[:300]}"
            )
        return told
