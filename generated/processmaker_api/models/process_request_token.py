from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="ProcessRequestToken")


@_attrs_define
class ProcessRequestToken:
    """A task, a step of a Request that somebody has to do. Any property may be missing or null.

    Attributes:
        user_id (int | None | str | Unset): The id of the user to whom the task is assigned.
        status (None | str | Unset): ACTIVE if it is open, CLOSED if it is done. There are others.
        due_at (None | str | Unset): When the task is due.
        initiated_at (None | str | Unset): When the task was started.
        riskchanges_at (None | str | Unset):
        subprocess_start_event_id (None | str | Unset):
        data (Any | Unset): The data of the Request, if included.
        id (int | None | str | Unset): The id of the task.
        process_id (int | None | str | Unset): The id of the process.
        process_request_id (int | None | str | Unset): The id of the Request.
        element_id (None | str | Unset): The node id of the task in the process.
        element_type (None | str | Unset): The kind of element, such as task.
        element_index (int | None | str | Unset): The position of the task among those of its element.
        element_name (None | str | Unset): The name of the task in the process.
        created_at (None | str | Unset): When the task was created.
        updated_at (None | str | Unset): When the task was last changed.
        advance_status (None | str | Unset): open, overdue or completed.
        due_notified (int | None | Unset):
        user (Any | Unset): The user to whom the task is assigned.
        process (Any | Unset): The process.
        process_request (Any | Unset): The Request.
        is_self_service (bool | int | None | Unset): 1 if a user has to claim the task first, else 0.
        self_service_groups (Any | Unset): Which users and groups may claim the task.
        uuid (None | str | Unset): The UUID of the task.
        completed_at (None | str | Unset): When the task was completed. It is null as long as the task is open.
    """

    user_id: int | None | str | Unset = UNSET
    status: None | str | Unset = UNSET
    due_at: None | str | Unset = UNSET
    initiated_at: None | str | Unset = UNSET
    riskchanges_at: None | str | Unset = UNSET
    subprocess_start_event_id: None | str | Unset = UNSET
    data: Any | Unset = UNSET
    id: int | None | str | Unset = UNSET
    process_id: int | None | str | Unset = UNSET
    process_request_id: int | None | str | Unset = UNSET
    element_id: None | str | Unset = UNSET
    element_type: None | str | Unset = UNSET
    element_index: int | None | str | Unset = UNSET
    element_name: None | str | Unset = UNSET
    created_at: None | str | Unset = UNSET
    updated_at: None | str | Unset = UNSET
    advance_status: None | str | Unset = UNSET
    due_notified: int | None | Unset = UNSET
    user: Any | Unset = UNSET
    process: Any | Unset = UNSET
    process_request: Any | Unset = UNSET
    is_self_service: bool | int | None | Unset = UNSET
    self_service_groups: Any | Unset = UNSET
    uuid: None | str | Unset = UNSET
    completed_at: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        user_id: int | None | str | Unset
        if isinstance(self.user_id, Unset):
            user_id = UNSET
        else:
            user_id = self.user_id

        status: None | str | Unset
        if isinstance(self.status, Unset):
            status = UNSET
        else:
            status = self.status

        due_at: None | str | Unset
        if isinstance(self.due_at, Unset):
            due_at = UNSET
        else:
            due_at = self.due_at

        initiated_at: None | str | Unset
        if isinstance(self.initiated_at, Unset):
            initiated_at = UNSET
        else:
            initiated_at = self.initiated_at

        riskchanges_at: None | str | Unset
        if isinstance(self.riskchanges_at, Unset):
            riskchanges_at = UNSET
        else:
            riskchanges_at = self.riskchanges_at

        subprocess_start_event_id: None | str | Unset
        if isinstance(self.subprocess_start_event_id, Unset):
            subprocess_start_event_id = UNSET
        else:
            subprocess_start_event_id = self.subprocess_start_event_id

        data = self.data

        id: int | None | str | Unset
        if isinstance(self.id, Unset):
            id = UNSET
        else:
            id = self.id

        process_id: int | None | str | Unset
        if isinstance(self.process_id, Unset):
            process_id = UNSET
        else:
            process_id = self.process_id

        process_request_id: int | None | str | Unset
        if isinstance(self.process_request_id, Unset):
            process_request_id = UNSET
        else:
            process_request_id = self.process_request_id

        element_id: None | str | Unset
        if isinstance(self.element_id, Unset):
            element_id = UNSET
        else:
            element_id = self.element_id

        element_type: None | str | Unset
        if isinstance(self.element_type, Unset):
            element_type = UNSET
        else:
            element_type = self.element_type

        element_index: int | None | str | Unset
        if isinstance(self.element_index, Unset):
            element_index = UNSET
        else:
            element_index = self.element_index

        element_name: None | str | Unset
        if isinstance(self.element_name, Unset):
            element_name = UNSET
        else:
            element_name = self.element_name

        created_at: None | str | Unset
        if isinstance(self.created_at, Unset):
            created_at = UNSET
        else:
            created_at = self.created_at

        updated_at: None | str | Unset
        if isinstance(self.updated_at, Unset):
            updated_at = UNSET
        else:
            updated_at = self.updated_at

        advance_status: None | str | Unset
        if isinstance(self.advance_status, Unset):
            advance_status = UNSET
        else:
            advance_status = self.advance_status

        due_notified: int | None | Unset
        if isinstance(self.due_notified, Unset):
            due_notified = UNSET
        else:
            due_notified = self.due_notified

        user = self.user

        process = self.process

        process_request = self.process_request

        is_self_service: bool | int | None | Unset
        if isinstance(self.is_self_service, Unset):
            is_self_service = UNSET
        else:
            is_self_service = self.is_self_service

        self_service_groups = self.self_service_groups

        uuid: None | str | Unset
        if isinstance(self.uuid, Unset):
            uuid = UNSET
        else:
            uuid = self.uuid

        completed_at: None | str | Unset
        if isinstance(self.completed_at, Unset):
            completed_at = UNSET
        else:
            completed_at = self.completed_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if user_id is not UNSET:
            field_dict["user_id"] = user_id
        if status is not UNSET:
            field_dict["status"] = status
        if due_at is not UNSET:
            field_dict["due_at"] = due_at
        if initiated_at is not UNSET:
            field_dict["initiated_at"] = initiated_at
        if riskchanges_at is not UNSET:
            field_dict["riskchanges_at"] = riskchanges_at
        if subprocess_start_event_id is not UNSET:
            field_dict["subprocess_start_event_id"] = subprocess_start_event_id
        if data is not UNSET:
            field_dict["data"] = data
        if id is not UNSET:
            field_dict["id"] = id
        if process_id is not UNSET:
            field_dict["process_id"] = process_id
        if process_request_id is not UNSET:
            field_dict["process_request_id"] = process_request_id
        if element_id is not UNSET:
            field_dict["element_id"] = element_id
        if element_type is not UNSET:
            field_dict["element_type"] = element_type
        if element_index is not UNSET:
            field_dict["element_index"] = element_index
        if element_name is not UNSET:
            field_dict["element_name"] = element_name
        if created_at is not UNSET:
            field_dict["created_at"] = created_at
        if updated_at is not UNSET:
            field_dict["updated_at"] = updated_at
        if advance_status is not UNSET:
            field_dict["advanceStatus"] = advance_status
        if due_notified is not UNSET:
            field_dict["due_notified"] = due_notified
        if user is not UNSET:
            field_dict["user"] = user
        if process is not UNSET:
            field_dict["process"] = process
        if process_request is not UNSET:
            field_dict["process_request"] = process_request
        if is_self_service is not UNSET:
            field_dict["is_self_service"] = is_self_service
        if self_service_groups is not UNSET:
            field_dict["self_service_groups"] = self_service_groups
        if uuid is not UNSET:
            field_dict["uuid"] = uuid
        if completed_at is not UNSET:
            field_dict["completed_at"] = completed_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)

        def _parse_user_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        user_id = _parse_user_id(d.pop("user_id", UNSET))

        def _parse_status(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        status = _parse_status(d.pop("status", UNSET))

        def _parse_due_at(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        due_at = _parse_due_at(d.pop("due_at", UNSET))

        def _parse_initiated_at(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        initiated_at = _parse_initiated_at(d.pop("initiated_at", UNSET))

        def _parse_riskchanges_at(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        riskchanges_at = _parse_riskchanges_at(d.pop("riskchanges_at", UNSET))

        def _parse_subprocess_start_event_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        subprocess_start_event_id = _parse_subprocess_start_event_id(
            d.pop("subprocess_start_event_id", UNSET)
        )

        data = d.pop("data", UNSET)

        def _parse_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        id = _parse_id(d.pop("id", UNSET))

        def _parse_process_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        process_id = _parse_process_id(d.pop("process_id", UNSET))

        def _parse_process_request_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        process_request_id = _parse_process_request_id(d.pop("process_request_id", UNSET))

        def _parse_element_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        element_id = _parse_element_id(d.pop("element_id", UNSET))

        def _parse_element_type(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        element_type = _parse_element_type(d.pop("element_type", UNSET))

        def _parse_element_index(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        element_index = _parse_element_index(d.pop("element_index", UNSET))

        def _parse_element_name(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        element_name = _parse_element_name(d.pop("element_name", UNSET))

        def _parse_created_at(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        created_at = _parse_created_at(d.pop("created_at", UNSET))

        def _parse_updated_at(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        updated_at = _parse_updated_at(d.pop("updated_at", UNSET))

        def _parse_advance_status(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        advance_status = _parse_advance_status(d.pop("advanceStatus", UNSET))

        def _parse_due_notified(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        due_notified = _parse_due_notified(d.pop("due_notified", UNSET))

        user = d.pop("user", UNSET)

        process = d.pop("process", UNSET)

        process_request = d.pop("process_request", UNSET)

        def _parse_is_self_service(data: object) -> bool | int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(bool | int | None | Unset, data)

        is_self_service = _parse_is_self_service(d.pop("is_self_service", UNSET))

        self_service_groups = d.pop("self_service_groups", UNSET)

        def _parse_uuid(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        uuid = _parse_uuid(d.pop("uuid", UNSET))

        def _parse_completed_at(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        completed_at = _parse_completed_at(d.pop("completed_at", UNSET))

        process_request_token = cls(
            user_id=user_id,
            status=status,
            due_at=due_at,
            initiated_at=initiated_at,
            riskchanges_at=riskchanges_at,
            subprocess_start_event_id=subprocess_start_event_id,
            data=data,
            id=id,
            process_id=process_id,
            process_request_id=process_request_id,
            element_id=element_id,
            element_type=element_type,
            element_index=element_index,
            element_name=element_name,
            created_at=created_at,
            updated_at=updated_at,
            advance_status=advance_status,
            due_notified=due_notified,
            user=user,
            process=process,
            process_request=process_request,
            is_self_service=is_self_service,
            self_service_groups=self_service_groups,
            uuid=uuid,
            completed_at=completed_at,
        )

        process_request_token.additional_properties = d
        return process_request_token

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
