from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="ProcessStartEvents")


@_attrs_define
class ProcessStartEvents:
    """An event at which a Request of a process can be started.

    Attributes:
        event_definitions (Any | Unset): What triggers the event, such as a timer. The list is empty if the event is
            started by hand.
        parallel_multiple (bool | None | Unset): Whether all event definitions must occur before the event does.
        outgoing (Any | Unset): The flows that leave the event.
        incoming (Any | Unset): The flows that lead to the event.
        id (None | str | Unset): The node id of the event. A start sends it as `event`.
        name (None | str | Unset): The name of the event.
    """

    event_definitions: Any | Unset = UNSET
    parallel_multiple: bool | None | Unset = UNSET
    outgoing: Any | Unset = UNSET
    incoming: Any | Unset = UNSET
    id: None | str | Unset = UNSET
    name: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        event_definitions = self.event_definitions

        parallel_multiple: bool | None | Unset
        if isinstance(self.parallel_multiple, Unset):
            parallel_multiple = UNSET
        else:
            parallel_multiple = self.parallel_multiple

        outgoing = self.outgoing

        incoming = self.incoming

        id: None | str | Unset
        if isinstance(self.id, Unset):
            id = UNSET
        else:
            id = self.id

        name: None | str | Unset
        if isinstance(self.name, Unset):
            name = UNSET
        else:
            name = self.name

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if event_definitions is not UNSET:
            field_dict["eventDefinitions"] = event_definitions
        if parallel_multiple is not UNSET:
            field_dict["parallelMultiple"] = parallel_multiple
        if outgoing is not UNSET:
            field_dict["outgoing"] = outgoing
        if incoming is not UNSET:
            field_dict["incoming"] = incoming
        if id is not UNSET:
            field_dict["id"] = id
        if name is not UNSET:
            field_dict["name"] = name

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        event_definitions = d.pop("eventDefinitions", UNSET)

        def _parse_parallel_multiple(data: object) -> bool | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(bool | None | Unset, data)

        parallel_multiple = _parse_parallel_multiple(d.pop("parallelMultiple", UNSET))

        outgoing = d.pop("outgoing", UNSET)

        incoming = d.pop("incoming", UNSET)

        def _parse_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        id = _parse_id(d.pop("id", UNSET))

        def _parse_name(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        name = _parse_name(d.pop("name", UNSET))

        process_start_events = cls(
            event_definitions=event_definitions,
            parallel_multiple=parallel_multiple,
            outgoing=outgoing,
            incoming=incoming,
            id=id,
            name=name,
        )

        process_start_events.additional_properties = d
        return process_start_events

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
