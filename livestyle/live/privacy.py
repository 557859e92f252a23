"""What strangers may see, decided once for a session."""

from dataclasses import dataclass

from livestyle.config.look import Look
from livestyle.config.settings import LiveSettings


@dataclass(frozen=True)
class Privacy:
    """What may be shown in a session. It never changes while the session runs.

    Args:
        is_call: strangers may watch. Then faults show a placeholder, and looks that uncover the room are asked about.
    """

    is_call: bool = False

    def must_ask(self, wanted: Look, shown: Look) -> bool:
        """Return whether a look would uncover the room in a call where the look shown now does not."""
        return self.is_call and wanted.uncovers(shown)

    def may_start_with(self, look: Look) -> bool:
        """Return whether a session may start with a look that nobody asked for."""
        return not (self.is_call and look.is_bare)


def privacy_of(live: LiveSettings) -> Privacy:
    """Return the privacy of a session from its settings: a call if it is private, or if a sink reaches strangers.

    Raises:
        UserError: there is no such sink.
    """
    from livestyle.video.sinks.open import parse_sinks  # which imports much that `ctl` does not need

    return Privacy(live.private or any(spec.kind.is_call for spec in parse_sinks(live.sinks)))
