from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.process_request_token import ProcessRequestToken


T = TypeVar("T", bound="ProcessRequest")


@_attrs_define
class ProcessRequest:
    """A Request, one run of a process. Any property may be missing or null. Dates look like 2026-11-23T22:12:30+00:00. In
    related records they may also look like 2026-11-23 22:10:18.

        Attributes:
            user_id (int | None | str | Unset): The id of the user who started the Request.
            callable_id (None | str | Unset): The id of the process in its BPMN diagram.
            data (Any | Unset): The data of the Request, if included. It is an object. If it is empty, it comes as an empty
                list. A list stays a list.
            status (None | str | Unset): ACTIVE, COMPLETED, ERROR or CANCELED. Newer servers may have more.
            name (None | str | Unset): The name of the process.
            case_title (None | str | Unset): The title of the case.
            case_title_formatted (None | str | Unset):
            user_viewed_at (None | str | Unset): When the user last looked at the Request.
            case_number (int | None | Unset): The number of the case.
            process_id (int | None | str | Unset): The id of the process.
            process (Any | Unset): The process, if included, and after a start.
            id (int | None | str | Unset): The id of the Request.
            process_collaboration_id (int | None | str | Unset):
            participant_id (int | None | str | Unset):
            process_category_id (int | None | str | Unset):
            created_at (None | str | Unset): When the Request was created.
            updated_at (None | str | Unset): When the Request was last changed.
            user (Any | Unset): The user who started the Request, if included.
            participants (Any | Unset): The users who took part, if included.
            uuid (None | str | Unset): The UUID of the Request.
            process_version_id (int | None | str | Unset): The id of the version of the process that the Request runs.
            parent_request_id (int | None | str | Unset): The id of the Request that started this one. It is null if none
                did.
            initiated_at (None | str | Unset): When the Request was started.
            completed_at (None | str | Unset): When the Request ended. It is null as long as the Request runs.
            errors (Any | Unset): For the status ERROR, a list of failures with message, element_id, element_name and
                created_at.
            summary (Any | Unset): The data, if included, as a list of key, value and type.
            active_tasks (list[ProcessRequestToken] | None | Unset): The open tasks of all users, if included (activeTasks),
                from ProcessMaker 4.9 on. Each has id, element_name, status, user_id and advanceStatus.
    """

    user_id: int | None | str | Unset = UNSET
    callable_id: None | str | Unset = UNSET
    data: Any | Unset = UNSET
    status: None | str | Unset = UNSET
    name: None | str | Unset = UNSET
    case_title: None | str | Unset = UNSET
    case_title_formatted: None | str | Unset = UNSET
    user_viewed_at: None | str | Unset = UNSET
    case_number: int | None | Unset = UNSET
    process_id: int | None | str | Unset = UNSET
    process: Any | Unset = UNSET
    id: int | None | str | Unset = UNSET
    process_collaboration_id: int | None | str | Unset = UNSET
    participant_id: int | None | str | Unset = UNSET
    process_category_id: int | None | str | Unset = UNSET
    created_at: None | str | Unset = UNSET
    updated_at: None | str | Unset = UNSET
    user: Any | Unset = UNSET
    participants: Any | Unset = UNSET
    uuid: None | str | Unset = UNSET
    process_version_id: int | None | str | Unset = UNSET
    parent_request_id: int | None | str | Unset = UNSET
    initiated_at: None | str | Unset = UNSET
    completed_at: None | str | Unset = UNSET
    errors: Any | Unset = UNSET
    summary: Any | Unset = UNSET
    active_tasks: list[ProcessRequestToken] | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        user_id: int | None | str | Unset
        if isinstance(self.user_id, Unset):
            user_id = UNSET
        else:
            user_id = self.user_id

        callable_id: None | str | Unset
        if isinstance(self.callable_id, Unset):
            callable_id = UNSET
        else:
            callable_id = self.callable_id

        data = self.data

        status: None | str | Unset
        if isinstance(self.status, Unset):
            status = UNSET
        else:
            status = self.status

        name: None | str | Unset
        if isinstance(self.name, Unset):
            name = UNSET
        else:
            name = self.name

        case_title: None | str | Unset
        if isinstance(self.case_title, Unset):
            case_title = UNSET
        else:
            case_title = self.case_title

        case_title_formatted: None | str | Unset
        if isinstance(self.case_title_formatted, Unset):
            case_title_formatted = UNSET
        else:
            case_title_formatted = self.case_title_formatted

        user_viewed_at: None | str | Unset
        if isinstance(self.user_viewed_at, Unset):
            user_viewed_at = UNSET
        else:
            user_viewed_at = self.user_viewed_at

        case_number: int | None | Unset
        if isinstance(self.case_number, Unset):
            case_number = UNSET
        else:
            case_number = self.case_number

        process_id: int | None | str | Unset
        if isinstance(self.process_id, Unset):
            process_id = UNSET
        else:
            process_id = self.process_id

        process = self.process

        id: int | None | str | Unset
        if isinstance(self.id, Unset):
            id = UNSET
        else:
            id = self.id

        process_collaboration_id: int | None | str | Unset
        if isinstance(self.process_collaboration_id, Unset):
            process_collaboration_id = UNSET
        else:
            process_collaboration_id = self.process_collaboration_id

        participant_id: int | None | str | Unset
        if isinstance(self.participant_id, Unset):
            participant_id = UNSET
        else:
            participant_id = self.participant_id

        process_category_id: int | None | str | Unset
        if isinstance(self.process_category_id, Unset):
            process_category_id = UNSET
        else:
            process_category_id = self.process_category_id

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

        user = self.user

        participants = self.participants

        uuid: None | str | Unset
        if isinstance(self.uuid, Unset):
            uuid = UNSET
        else:
            uuid = self.uuid

        process_version_id: int | None | str | Unset
        if isinstance(self.process_version_id, Unset):
            process_version_id = UNSET
        else:
            process_version_id = self.process_version_id

        parent_request_id: int | None | str | Unset
        if isinstance(self.parent_request_id, Unset):
            parent_request_id = UNSET
        else:
            parent_request_id = self.parent_request_id

        initiated_at: None | str | Unset
        if isinstance(self.initiated_at, Unset):
            initiated_at = UNSET
        else:
            initiated_at = self.initiated_at

        completed_at: None | str | Unset
        if isinstance(self.completed_at, Unset):
            completed_at = UNSET
        else:
            completed_at = self.completed_at

        errors = self.errors

        summary = self.summary

        active_tasks: list[dict[str, Any]] | None | Unset
        if isinstance(self.active_tasks, Unset):
            active_tasks = UNSET
        elif isinstance(self.active_tasks, list):
            active_tasks = []
            for active_tasks_type_0_item_data in self.active_tasks:
                active_tasks_type_0_item = active_tasks_type_0_item_data.to_dict()
                active_tasks.append(active_tasks_type_0_item)

        else:
            active_tasks = self.active_tasks

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if user_id is not UNSET:
            field_dict["user_id"] = user_id
        if callable_id is not UNSET:
            field_dict["callable_id"] = callable_id
        if data is not UNSET:
            field_dict["data"] = data
        if status is not UNSET:
            field_dict["status"] = status
        if name is not UNSET:
            field_dict["name"] = name
        if case_title is not UNSET:
            field_dict["case_title"] = case_title
        if case_title_formatted is not UNSET:
            field_dict["case_title_formatted"] = case_title_formatted
        if user_viewed_at is not UNSET:
            field_dict["user_viewed_at"] = user_viewed_at
        if case_number is not UNSET:
            field_dict["case_number"] = case_number
        if process_id is not UNSET:
            field_dict["process_id"] = process_id
        if process is not UNSET:
            field_dict["process"] = process
        if id is not UNSET:
            field_dict["id"] = id
        if process_collaboration_id is not UNSET:
            field_dict["process_collaboration_id"] = process_collaboration_id
        if participant_id is not UNSET:
            field_dict["participant_id"] = participant_id
        if process_category_id is not UNSET:
            field_dict["process_category_id"] = process_category_id
        if created_at is not UNSET:
            field_dict["created_at"] = created_at
        if updated_at is not UNSET:
            field_dict["updated_at"] = updated_at
        if user is not UNSET:
            field_dict["user"] = user
        if participants is not UNSET:
            field_dict["participants"] = participants
        if uuid is not UNSET:
            field_dict["uuid"] = uuid
        if process_version_id is not UNSET:
            field_dict["process_version_id"] = process_version_id
        if parent_request_id is not UNSET:
            field_dict["parent_request_id"] = parent_request_id
        if initiated_at is not UNSET:
            field_dict["initiated_at"] = initiated_at
        if completed_at is not UNSET:
            field_dict["completed_at"] = completed_at
        if errors is not UNSET:
            field_dict["errors"] = errors
        if summary is not UNSET:
            field_dict["summary"] = summary
        if active_tasks is not UNSET:
            field_dict["active_tasks"] = active_tasks

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.process_request_token import ProcessRequestToken  # noqa: PLC0415

        d = dict(src_dict)

        def _parse_user_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        user_id = _parse_user_id(d.pop("user_id", UNSET))

        def _parse_callable_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        callable_id = _parse_callable_id(d.pop("callable_id", UNSET))

        data = d.pop("data", UNSET)

        def _parse_status(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        status = _parse_status(d.pop("status", UNSET))

        def _parse_name(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        name = _parse_name(d.pop("name", UNSET))

        def _parse_case_title(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        case_title = _parse_case_title(d.pop("case_title", UNSET))

        def _parse_case_title_formatted(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        case_title_formatted = _parse_case_title_formatted(d.pop("case_title_formatted", UNSET))

        def _parse_user_viewed_at(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        user_viewed_at = _parse_user_viewed_at(d.pop("user_viewed_at", UNSET))

        def _parse_case_number(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        case_number = _parse_case_number(d.pop("case_number", UNSET))

        def _parse_process_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        process_id = _parse_process_id(d.pop("process_id", UNSET))

        process = d.pop("process", UNSET)

        def _parse_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        id = _parse_id(d.pop("id", UNSET))

        def _parse_process_collaboration_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        process_collaboration_id = _parse_process_collaboration_id(d.pop("process_collaboration_id", UNSET))

        def _parse_participant_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        participant_id = _parse_participant_id(d.pop("participant_id", UNSET))

        def _parse_process_category_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        process_category_id = _parse_process_category_id(d.pop("process_category_id", UNSET))

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

        user = d.pop("user", UNSET)

        participants = d.pop("participants", UNSET)

        def _parse_uuid(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        uuid = _parse_uuid(d.pop("uuid", UNSET))

        def _parse_process_version_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        process_version_id = _parse_process_version_id(d.pop("process_version_id", UNSET))

        def _parse_parent_request_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        parent_request_id = _parse_parent_request_id(d.pop("parent_request_id", UNSET))

        def _parse_initiated_at(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        initiated_at = _parse_initiated_at(d.pop("initiated_at", UNSET))

        def _parse_completed_at(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        completed_at = _parse_completed_at(d.pop("completed_at", UNSET))

        errors = d.pop("errors", UNSET)

        summary = d.pop("summary", UNSET)

        def _parse_active_tasks(data: object) -> list[ProcessRequestToken] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                active_tasks_type_0 = []
                _active_tasks_type_0 = data
                for active_tasks_type_0_item_data in _active_tasks_type_0:
                    active_tasks_type_0_item = ProcessRequestToken.from_dict(active_tasks_type_0_item_data)

                    active_tasks_type_0.append(active_tasks_type_0_item)

                return active_tasks_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[ProcessRequestToken] | None | Unset, data)

        active_tasks = _parse_active_tasks(d.pop("active_tasks", UNSET))

        process_request = cls(
            user_id=user_id,
            callable_id=callable_id,
            data=data,
            status=status,
            name=name,
            case_title=case_title,
            case_title_formatted=case_title_formatted,
            user_viewed_at=user_viewed_at,
            case_number=case_number,
            process_id=process_id,
            process=process,
            id=id,
            process_collaboration_id=process_collaboration_id,
            participant_id=participant_id,
            process_category_id=process_category_id,
            created_at=created_at,
            updated_at=updated_at,
            user=user,
            participants=participants,
            uuid=uuid,
            process_version_id=process_version_id,
            parent_request_id=parent_request_id,
            initiated_at=initiated_at,
            completed_at=completed_at,
            errors=errors,
            summary=summary,
            active_tasks=active_tasks,
        )

        process_request.additional_properties = d
        return process_request

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
