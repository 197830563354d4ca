"""What every generated model inherits."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A document of the daemon. Fields that a newer daemon adds are kept, as attributes of their own name."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, protected_namespaces=())

    def document(self) -> dict[str, Any]:
        """The document as it travels: plain JSON values under the daemon's own names."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
