from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="UpdateTaskBody")


@_attrs_define
class UpdateTaskBody:
    """To complete a task, status and data. To claim a task, is_self_service and user_id.

    Attributes:
        status (str | Unset): COMPLETED, to complete the task.
        data (Any | Unset): An object. Its entries are put into the data of the Request.
        is_self_service (int | Unset): 0, to claim the task.
        user_id (int | Unset): The id of the user who claims the task.
    """

    status: str | Unset = UNSET
    data: Any | Unset = UNSET
    is_self_service: int | Unset = UNSET
    user_id: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status = self.status

        data = self.data

        is_self_service = self.is_self_service

        user_id = self.user_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if status is not UNSET:
            field_dict["status"] = status
        if data is not UNSET:
            field_dict["data"] = data
        if is_self_service is not UNSET:
            field_dict["is_self_service"] = is_self_service
        if user_id is not UNSET:
            field_dict["user_id"] = user_id

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        status = d.pop("status", UNSET)

        data = d.pop("data", UNSET)

        is_self_service = d.pop("is_self_service", UNSET)

        user_id = d.pop("user_id", UNSET)

        update_task_body = cls(
            status=status,
            data=data,
            is_self_service=is_self_service,
            user_id=user_id,
        )

        update_task_body.additional_properties = d
        return update_task_body

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
