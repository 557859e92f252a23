"""Fake controls, for tests of what drives them."""

from livestyle.errors import UserError


class FakeControls:
    """Record what is pressed."""

    def __init__(self) -> None:
        self.pressed: list[str] = []
        self.facts: dict[str, object] = {"background": "a", "frames": 0}

    def press(self, text: str) -> str:
        if text == "refuse":
            raise UserError("It cannot be.", "Do another.")
        if text == "break":
            raise ZeroDivisionError("inside")
        self.pressed.append(text)
        self.facts = {**self.facts, "background": text}
        return f"did {text}"

    def status(self) -> dict[str, object]:
        return self.facts
