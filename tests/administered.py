"""The sandbox with what an administrator may do besides: users, categories, and processes made of BPMN.

A stand-in for `provision`'s tests only. Its answers have what the official document promises; none of them is recorded.
"""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import httpx
from processmaker.sandbox import SIMPLE_PROCESSES, Process, Sandbox, StartEvent, Task, User
from provision import BPMN, PM

API = "/api/1.0"


class AdministeredSandbox(Sandbox):
    """Users who are added can sign in. `fresh`: as it is installed, with one administrator and no process."""

    def __init__(self, *, fresh: bool = True) -> None:
        super().__init__(processes=() if fresh else SIMPLE_PROCESSES)
        if fresh:
            for username in ("integration.bot", "mail.user", "reviewer"):
                del self.users[username]
        self.categories: list[dict[str, Any]] = []

    async def answer(self, request: httpx.Request, channel: Any) -> httpx.Response:
        path = request.url.path.removeprefix(API)
        ours = path in ("/users", "/process_categories", "/processes")
        body = json.loads(request.content) if ours and request.method == "POST" else {}
        if ours and (path != "/processes" or request.method == "GET" or "bpmn" in body):
            user = self._oauth.user_of(request)
            if not (user and user.is_administrator):
                return httpx.Response(403, json={"message": "This action is unauthorized."})
            return self._administered(request, path, body)
        return await super().answer(request, channel)

    def _administered(self, request: httpx.Request, path: str, body: Any) -> httpx.Response:
        wanted = request.url.params.get("filter", "")
        if path == "/processes":
            if request.method == "GET":
                return listed([{"id": process.id, "name": process.name} for process in self.processes.values()])
            process = process_of(body, max(self.processes, default=20) + 1)
            self.processes[process.id] = process
            return httpx.Response(201, json={"id": process.id, "name": process.name})
        if path == "/users":
            if request.method == "POST":
                user = User(
                    max(user.id for user in self.users.values()) + 30,
                    body["username"],
                    body["password"],
                    body["firstname"],
                    body["lastname"],
                    body["email"],
                )
                self.users[user.username] = user
                return httpx.Response(201, json={"id": user.id, "username": user.username})
            rows = [{"id": user.id, "username": user.username} for user in self.users.values()]
            return listed([row for row in rows if wanted in str(row["username"])])
        if request.method == "POST":
            self.categories.append({"id": len(self.categories) + 1, "name": body["name"]})
            return httpx.Response(201, json=self.categories[-1])
        return listed([row for row in self.categories if wanted in row["name"]])


def listed(rows: list[dict[str, Any]]) -> httpx.Response:
    return httpx.Response(200, json={"data": rows, "meta": {"last_page": 1}})


def process_of(body: Any, identity: int) -> Process:
    """What the engine would make of the BPMN."""
    (flow,) = ElementTree.fromstring(body["bpmn"]).findall(f"{{{BPMN}}}process")
    starts = flow.findall(f"{{{BPMN}}}startEvent")
    tasks = flow.findall(f"{{{BPMN}}}task")
    nodes = {node.get("id") for node in flow if not node.tag.endswith("sequenceFlow")}
    targets = [edge.get("targetRef") for edge in flow.findall(f"{{{BPMN}}}sequenceFlow")]
    assigned = {user for start in starts for user in str(start.get(f"{{{PM}}}assignedUsers", "")).split(",") if user}
    emails = any("isActionsByEmail" in str(task.get(f"{{{PM}}}config")) for task in tasks)
    return Process(
        id=identity,
        name=body["name"],
        description=body["description"],
        start_events=tuple(
            StartEvent(
                str(start.get("id")),
                str(start.get("name")),
                timer=start.find(f"{{{BPMN}}}timerEventDefinition") is not None,
            )
            for start in starts
        ),
        steps=tuple(Task(str(task.get("name")), id=str(task.get("id"))) for task in tasks),
        users=tuple(sorted(int(user) for user in assigned)),
        status=body["status"],
        broken=not set(targets) <= nodes,
        fails_with='Class "EmailProvider" not found' if emails else None,
        bpmn_name=str(flow.get("name")),
    )
