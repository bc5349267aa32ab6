from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.process_start_events import ProcessStartEvents


T = TypeVar("T", bound="ProcessWithStartEvents")


@_attrs_define
class ProcessWithStartEvents:
    """A process with the events at which it can be started.

    Attributes:
        process_category_id (int | None | str | Unset): The id of the category. It comes as a string.
        name (None | str | Unset): The name of the process. Names are unique and consist of letters, digits and spaces.
        case_title (None | str | Unset): The pattern of the titles of cases.
        description (None | str | Unset): The purpose of the process.
        status (None | str | Unset): ACTIVE, INACTIVE or ARCHIVED. Newer servers may have more.
        pause_timer_start (int | None | Unset):
        cancel_screen_id (int | None | Unset):
        has_timer_start_events (bool | Unset): Whether one of the start events is a timer.
        request_detail_screen_id (int | None | str | Unset):
        is_valid (int | None | Unset):
        package_key (None | str | Unset):
        start_events (list[ProcessStartEvents] | None | Unset): All start events of the process, timers included.
        warnings (Any | Unset): What the process designer found wrong with the process.
        self_service_tasks (Any | Unset):
        signal_events (Any | Unset):
        category (Any | Unset): The category, if included.
        manager_id (int | None | str | Unset):
        user_id (int | None | str | Unset):
        id (int | None | str | Unset): The id of the process. A start sends it as process_id.
        deleted_at (None | str | Unset):
        created_at (None | str | Unset): When the process was created.
        updated_at (None | str | Unset): When the process was last changed.
        notifications (Any | Unset):
        task_notifications (Any | Unset):
        events (list[ProcessStartEvents] | None | Unset): The start events that the user may start. For an administrator
            they include timers.
        startEvents (list[ProcessStartEvents] | None | Unset): The start events that the user may start by hand.
    """

    process_category_id: int | None | str | Unset = UNSET
    name: None | str | Unset = UNSET
    case_title: None | str | Unset = UNSET
    description: None | str | Unset = UNSET
    status: None | str | Unset = UNSET
    pause_timer_start: int | None | Unset = UNSET
    cancel_screen_id: int | None | Unset = UNSET
    has_timer_start_events: bool | Unset = UNSET
    request_detail_screen_id: int | None | str | Unset = UNSET
    is_valid: int | None | Unset = UNSET
    package_key: None | str | Unset = UNSET
    start_events: list[ProcessStartEvents] | None | Unset = UNSET
    warnings: Any | Unset = UNSET
    self_service_tasks: Any | Unset = UNSET
    signal_events: Any | Unset = UNSET
    category: Any | Unset = UNSET
    manager_id: int | None | str | Unset = UNSET
    user_id: int | None | str | Unset = UNSET
    id: int | None | str | Unset = UNSET
    deleted_at: None | str | Unset = UNSET
    created_at: None | str | Unset = UNSET
    updated_at: None | str | Unset = UNSET
    notifications: Any | Unset = UNSET
    task_notifications: Any | Unset = UNSET
    events: list[ProcessStartEvents] | None | Unset = UNSET
    startEvents: list[ProcessStartEvents] | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        process_category_id: int | None | str | Unset
        if isinstance(self.process_category_id, Unset):
            process_category_id = UNSET
        else:
            process_category_id = self.process_category_id

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

        description: None | str | Unset
        if isinstance(self.description, Unset):
            description = UNSET
        else:
            description = self.description

        status: None | str | Unset
        if isinstance(self.status, Unset):
            status = UNSET
        else:
            status = self.status

        pause_timer_start: int | None | Unset
        if isinstance(self.pause_timer_start, Unset):
            pause_timer_start = UNSET
        else:
            pause_timer_start = self.pause_timer_start

        cancel_screen_id: int | None | Unset
        if isinstance(self.cancel_screen_id, Unset):
            cancel_screen_id = UNSET
        else:
            cancel_screen_id = self.cancel_screen_id

        has_timer_start_events = self.has_timer_start_events

        request_detail_screen_id: int | None | str | Unset
        if isinstance(self.request_detail_screen_id, Unset):
            request_detail_screen_id = UNSET
        else:
            request_detail_screen_id = self.request_detail_screen_id

        is_valid: int | None | Unset
        if isinstance(self.is_valid, Unset):
            is_valid = UNSET
        else:
            is_valid = self.is_valid

        package_key: None | str | Unset
        if isinstance(self.package_key, Unset):
            package_key = UNSET
        else:
            package_key = self.package_key

        start_events: list[dict[str, Any]] | None | Unset
        if isinstance(self.start_events, Unset):
            start_events = UNSET
        elif isinstance(self.start_events, list):
            start_events = []
            for start_events_type_0_item_data in self.start_events:
                start_events_type_0_item = start_events_type_0_item_data.to_dict()
                start_events.append(start_events_type_0_item)

        else:
            start_events = self.start_events

        warnings = self.warnings

        self_service_tasks = self.self_service_tasks

        signal_events = self.signal_events

        category = self.category

        manager_id: int | None | str | Unset
        if isinstance(self.manager_id, Unset):
            manager_id = UNSET
        else:
            manager_id = self.manager_id

        user_id: int | None | str | Unset
        if isinstance(self.user_id, Unset):
            user_id = UNSET
        else:
            user_id = self.user_id

        id: int | None | str | Unset
        if isinstance(self.id, Unset):
            id = UNSET
        else:
            id = self.id

        deleted_at: None | str | Unset
        if isinstance(self.deleted_at, Unset):
            deleted_at = UNSET
        else:
            deleted_at = self.deleted_at

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

        notifications = self.notifications

        task_notifications = self.task_notifications

        events: list[dict[str, Any]] | None | Unset
        if isinstance(self.events, Unset):
            events = UNSET
        elif isinstance(self.events, list):
            events = []
            for events_type_0_item_data in self.events:
                events_type_0_item = events_type_0_item_data.to_dict()
                events.append(events_type_0_item)

        else:
            events = self.events

        startEvents: list[dict[str, Any]] | None | Unset
        if isinstance(self.startEvents, Unset):
            startEvents = UNSET
        elif isinstance(self.startEvents, list):
            startEvents = []
            for start_events_type_0_item_data in self.startEvents:
                start_events_type_0_item = start_events_type_0_item_data.to_dict()
                startEvents.append(start_events_type_0_item)

        else:
            startEvents = self.startEvents

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if process_category_id is not UNSET:
            field_dict["process_category_id"] = process_category_id
        if name is not UNSET:
            field_dict["name"] = name
        if case_title is not UNSET:
            field_dict["case_title"] = case_title
        if description is not UNSET:
            field_dict["description"] = description
        if status is not UNSET:
            field_dict["status"] = status
        if pause_timer_start is not UNSET:
            field_dict["pause_timer_start"] = pause_timer_start
        if cancel_screen_id is not UNSET:
            field_dict["cancel_screen_id"] = cancel_screen_id
        if has_timer_start_events is not UNSET:
            field_dict["has_timer_start_events"] = has_timer_start_events
        if request_detail_screen_id is not UNSET:
            field_dict["request_detail_screen_id"] = request_detail_screen_id
        if is_valid is not UNSET:
            field_dict["is_valid"] = is_valid
        if package_key is not UNSET:
            field_dict["package_key"] = package_key
        if start_events is not UNSET:
            field_dict["start_events"] = start_events
        if warnings is not UNSET:
            field_dict["warnings"] = warnings
        if self_service_tasks is not UNSET:
            field_dict["self_service_tasks"] = self_service_tasks
        if signal_events is not UNSET:
            field_dict["signal_events"] = signal_events
        if category is not UNSET:
            field_dict["category"] = category
        if manager_id is not UNSET:
            field_dict["manager_id"] = manager_id
        if user_id is not UNSET:
            field_dict["user_id"] = user_id
        if id is not UNSET:
            field_dict["id"] = id
        if deleted_at is not UNSET:
            field_dict["deleted_at"] = deleted_at
        if created_at is not UNSET:
            field_dict["created_at"] = created_at
        if updated_at is not UNSET:
            field_dict["updated_at"] = updated_at
        if notifications is not UNSET:
            field_dict["notifications"] = notifications
        if task_notifications is not UNSET:
            field_dict["task_notifications"] = task_notifications
        if events is not UNSET:
            field_dict["events"] = events
        if startEvents is not UNSET:
            field_dict["startEvents"] = startEvents

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.process_start_events import ProcessStartEvents  # noqa: PLC0415

        d = dict(src_dict)

        def _parse_process_category_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        process_category_id = _parse_process_category_id(d.pop("process_category_id", UNSET))

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

        def _parse_description(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        description = _parse_description(d.pop("description", UNSET))

        def _parse_status(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        status = _parse_status(d.pop("status", UNSET))

        def _parse_pause_timer_start(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        pause_timer_start = _parse_pause_timer_start(d.pop("pause_timer_start", UNSET))

        def _parse_cancel_screen_id(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        cancel_screen_id = _parse_cancel_screen_id(d.pop("cancel_screen_id", UNSET))

        has_timer_start_events = d.pop("has_timer_start_events", UNSET)

        def _parse_request_detail_screen_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        request_detail_screen_id = _parse_request_detail_screen_id(d.pop("request_detail_screen_id", UNSET))

        def _parse_is_valid(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        is_valid = _parse_is_valid(d.pop("is_valid", UNSET))

        def _parse_package_key(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        package_key = _parse_package_key(d.pop("package_key", UNSET))

        def _parse_start_events(data: object) -> list[ProcessStartEvents] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                start_events_type_0 = []
                _start_events_type_0 = data
                for start_events_type_0_item_data in _start_events_type_0:
                    start_events_type_0_item = ProcessStartEvents.from_dict(start_events_type_0_item_data)

                    start_events_type_0.append(start_events_type_0_item)

                return start_events_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[ProcessStartEvents] | None | Unset, data)

        start_events = _parse_start_events(d.pop("start_events", UNSET))

        warnings = d.pop("warnings", UNSET)

        self_service_tasks = d.pop("self_service_tasks", UNSET)

        signal_events = d.pop("signal_events", UNSET)

        category = d.pop("category", UNSET)

        def _parse_manager_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        manager_id = _parse_manager_id(d.pop("manager_id", UNSET))

        def _parse_user_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        user_id = _parse_user_id(d.pop("user_id", UNSET))

        def _parse_id(data: object) -> int | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | str | Unset, data)

        id = _parse_id(d.pop("id", UNSET))

        def _parse_deleted_at(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        deleted_at = _parse_deleted_at(d.pop("deleted_at", UNSET))

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

        notifications = d.pop("notifications", UNSET)

        task_notifications = d.pop("task_notifications", UNSET)

        def _parse_events(data: object) -> list[ProcessStartEvents] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                events_type_0 = []
                _events_type_0 = data
                for events_type_0_item_data in _events_type_0:
                    events_type_0_item = ProcessStartEvents.from_dict(events_type_0_item_data)

                    events_type_0.append(events_type_0_item)

                return events_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[ProcessStartEvents] | None | Unset, data)

        events = _parse_events(d.pop("events", UNSET))

        def _parse_startEvents(data: object) -> list[ProcessStartEvents] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                start_events_type_0 = []
                _start_events_type_0 = data
                for start_events_type_0_item_data in _start_events_type_0:
                    start_events_type_0_item = ProcessStartEvents.from_dict(start_events_type_0_item_data)

                    start_events_type_0.append(start_events_type_0_item)

                return start_events_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[ProcessStartEvents] | None | Unset, data)

        startEvents = _parse_startEvents(d.pop("startEvents", UNSET))

        process_with_start_events = cls(
            process_category_id=process_category_id,
            name=name,
            case_title=case_title,
            description=description,
            status=status,
            pause_timer_start=pause_timer_start,
            cancel_screen_id=cancel_screen_id,
            has_timer_start_events=has_timer_start_events,
            request_detail_screen_id=request_detail_screen_id,
            is_valid=is_valid,
            package_key=package_key,
            start_events=start_events,
            warnings=warnings,
            self_service_tasks=self_service_tasks,
            signal_events=signal_events,
            category=category,
            manager_id=manager_id,
            user_id=user_id,
            id=id,
            deleted_at=deleted_at,
            created_at=created_at,
            updated_at=updated_at,
            notifications=notifications,
            task_notifications=task_notifications,
            events=events,
            startEvents=startEvents,
        )

        process_with_start_events.additional_properties = d
        return process_with_start_events

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
