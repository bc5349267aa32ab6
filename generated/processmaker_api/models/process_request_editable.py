from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="ProcessRequestEditable")


@_attrs_define
class ProcessRequestEditable:
    """What can be changed in a Request.

    Attributes:
        user_id (int | None | str | Unset):
        callable_id (None | str | Unset):
        data (Any | Unset): Data to put into the Request.
        status (None | str | Unset): CANCELED cancels the Request.
        name (None | str | Unset):
        case_title (None | str | Unset):
        case_title_formatted (None | str | Unset):
        user_viewed_at (None | str | Unset):
        case_number (int | None | Unset):
        process_id (int | None | str | Unset):
        process (Any | Unset):
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

        process_request_editable = cls(
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
        )

        process_request_editable.additional_properties = d
        return process_request_editable

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
