"""What the screen asks: which model, which file, whether to end the run; and the help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

CLOSE, END = "close", "end"
CSS = """
    {0} {{ align: center middle; }}
    {0} > Vertical {{
        width: 72; max-width: 100%; height: auto; max-height: 100%;
        border: round $accent; background: $surface; padding: 0 1;
    }}
    {0} OptionList {{ height: auto; max-height: 10; border: none; }}
"""


class AskPath(ModalScreen[str | None]):
    """A question for the name of a file, or for a choice of a list; Esc gives None.

    Args:
        question: What is asked.
        given: What stands in the line at first.
        choices: What can be chosen instead, as (what it gives, what is shown).
    """

    DEFAULT_CSS = CSS.format("AskPath")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "none", "back", priority=True)
    ]

    def __init__(
        self, question: str, given: str = "", choices: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__()
        self._question, self._given, self._choices = question, given, choices

    def compose(self) -> ComposeResult:
        """Yield the question, the list and the line."""
        with Vertical():
            yield Static(Text(self._question))
            if self._choices:
                yield OptionList(*(Text(shown) for _, shown in self._choices))
            yield Input(self._given, placeholder="path of a file", select_on_focus=False)
            yield Static(Text("Enter takes it · Tab goes on · Esc goes back", "grey62"))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Give what was chosen."""
        self.dismiss(self._choices[event.option_index][0])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give what was typed."""
        self.dismiss(event.value.strip() or None)

    def action_none(self) -> None:
        """Give nothing."""
        self.dismiss(None)


class AskEnd(ModalScreen[str | None]):
    """The question whether the run is to end, or only its screen; Esc gives None.

    Args:
        again: What `q` means here, CLOSE or END.
    """

    DEFAULT_CSS = CSS.format("AskEnd")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "again", priority=True),
        Binding("e", "give('end')"),
        Binding("s", "give('close')"),
        Binding("escape,n", "give('')"),
    ]

    def __init__(self, again: str) -> None:
        super().__init__()
        self._again = again

    def compose(self) -> ComposeResult:
        """Yield the choices."""
        end, close = ("q or e", "s") if self._again == END else ("e", "q or s")
        with Vertical():
            yield Static(Text("Quit?", "bold"))
            yield Static(Text(f"{end:<8} end the run: the sound stops, recordings are finished"))
            yield Static(Text(f"{close:<8} close this screen only: the sound goes on"))
            yield Static(Text("Esc      back"))

    def action_again(self) -> None:
        """Give what `q` means."""
        self.dismiss(self._again)

    def action_give(self, what: str) -> None:
        """Give *what*."""
        self.dismiss(what or None)


class Help(ModalScreen[None]):
    """The keys; any key goes back.

    Args:
        keys: What each does, as (key, sentence).
    """

    DEFAULT_CSS = CSS.format("Help")

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Yield the table."""
        with Vertical():
            for key, told in self._keys:
                yield Static(Text.assemble((f"{key:<7}", "bold cyan"), told))
            yield Static(Text("Any key goes back.", "grey62"))

    def on_key(self) -> None:
        """Go back."""
        self.dismiss(None)
