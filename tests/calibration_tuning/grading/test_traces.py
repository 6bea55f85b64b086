import pytest

from calibration_tuning.grading.graders import GRADERS, grade
from calibration_tuning.grading.traces import TRACES, trace_of, without_trace
from calibration_tuning.records import Question

HARMONY = "<|channel|>analysis<|message|>Is it Lyon?<|end|><|start|>assistant"


@pytest.mark.parametrize(("begin", "end"), TRACES.items())
@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("{b}Is it Lyon? No.{e}Paris", "Paris"),
        ("{b}\nIs it Lyon?\n{e}\n\nParis\n", "Paris"),
        ("Is it Lyon? No.\n{e}\nParis", "Paris"),  # the prompt began the trace
        ("{b}{e}Paris", "Paris"),
        ("{b}Lyon?{e}{b}Nice?{e}Paris", "Paris"),
        ("Let me see. {b}Lyon?{e} Paris", " Paris"),
        ("{b}Is it Lyon? It may well be", ""),  # cut off
        ("{b}Lyon{e}Paris{b}or", ""),
        ("{e}Paris", "Paris"),
        ("{b}Lyon{e}", ""),
    ],
)
def test_the_answer_is_what_follows_the_last_trace(begin: str, end: str, reply: str, answer: str) -> None:
    assert without_trace(reply.format(b=begin, e=end)) == answer


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Paris", "Paris"),
        ("  Paris\n", "  Paris\n"),
        ("<THINK>Lyon?</THINK>Paris", "Paris"),
        ("<thinking>Lyon?</thinking>\nParis", "Paris"),
        ("<reasoning>Lyon?</reasoning>\nParis", "Paris"),
        ("<think>Lyon?</think>\n<answer>Paris</answer>\n", "Paris"),
        ("<think>a</think>\n    return 2 * x\n", "    return 2 * x"),  # the body of a function
        ("R1 writes `<think>` first", "R1 writes `<think>` first"),  # spoken of
        ('The tag is "</think>".', 'The tag is "</think>".'),
        ('<think>It is "Lyon".</think>"Paris"', '"Paris"'),
        ("<|begin_of_thought|>Lyon?<|end_of_thought|>\n<|begin_of_solution|>Paris<|end_of_solution|>", "Paris"),
        ("<|begin_of_thought|>Lyon?", ""),
        ("◁think▷Lyon?◁/think▷Paris", "Paris"),
        ("<|START_THINKING|>Lyon?<|END_THINKING|><|START_RESPONSE|>Paris<|END_RESPONSE|>", "Paris"),
        ("<|START_THINKING|>Lyon?<|END_THINKING|><|START_RESPONSE|>Paris", "Paris"),
        (f"{HARMONY}<|channel|>final<|message|>Paris<|return|>", "Paris"),
        (f"{HARMONY}<|channel|>final<|message|>Paris", "Paris"),
        ("<|channel|>analysis<|message|>Is it Lyon?", ""),
        ("<scratchpad>Lyon?</scratchpad>Paris", "Paris"),
        ("<reflection>The answer is Lyon.</reflection>Paris", "Paris"),
        ("<analysis>Lyon?</analysis>\nParis", "Paris"),
        ("<analysis>Lyon? It may", ""),
        ("<REASONING>x</REASONING>\n<SOLUTION>Paris</SOLUTION>", "Paris"),
        ("<start_working_out>Lyon?<end_working_out><SOLUTION>Paris</SOLUTION>", "Paris"),
        ("<unused94>thought\nLyon?<unused95>Paris", "Paris"),
        # gpt-oss where special tokens are skipped
        ("analysisThe answer is Lyon.assistantfinalParis", "Paris"),
        ("analysis48/2=24, so 72assistantfinal72", "72"),
        ("analysisWe need the capital. It may", ""),
        ("analysisUser asks for the capital.", ""),
        ("analysis of variance", "analysis of variance"),
        ("analysisResult = 3", "analysisResult = 3"),
        ("Analysis", "Analysis"),
        ("analysis", "analysis"),
        # around the answer; a tag may be missing
        ("<final_answer>Paris</final_answer>", "Paris"),
        ("<response>\nParis\n</response>\n", "Paris"),
        ("<answer>Paris", "Paris"),
        ("Paris</answer>", "Paris"),
        ("It is not Lyon.\n<answer>Paris", "Paris"),
        ("<response>Lyon? <answer>Paris</answer></response>", "Paris"),
        ("<answer>Lyon</answer> or <answer>Paris</answer>", "Paris"),
        ("<answer>Paris</answer> it is", "<answer>Paris</answer> it is"),
        ("<answer>", "<answer>"),
        ("Write `<answer>` first", "Write `<answer>` first"),
        ("<output>Paris</output>", "<output>Paris</output>"),  # a tag of HTML
        # the end of the turn
        ("C<|im_end|>", "C"),
        ("C</s>", "C"),
        ("C <|eot_id|>\n", "C"),
        ("Paris<end_of_turn>", "Paris"),
        ("Paris<|end_of_text|><|end_of_text|>", "Paris"),
        ("    return 2 * x</s>", "    return 2 * x"),
        ("<think>Lyon?</think><answer>Paris</answer><|im_end|>", "Paris"),
        ("</s>", "</s>"),
        ("The token is `</s>`", "The token is `</s>`"),
        ("<|im_end|> ends a turn", "<|im_end|> ends a turn"),
        ("I think so", "I think so"),
        ("", ""),
    ],
)
def test_other_replies(reply: str, answer: str) -> None:
    assert without_trace(reply) == answer


def test_the_trace_of_a_channel_is_bare() -> None:
    assert trace_of(f"{HARMONY}<|channel|>final<|message|>Paris") == "Is it Lyon?"


def test_the_trace_of_a_bare_channel() -> None:
    assert trace_of("analysisIs it Lyon?assistantfinalParis") == "Is it Lyon?"
    assert trace_of("analysisWe need the capital.") == "We need the capital."
    assert trace_of("analysis of variance") is None


PROGRAM = "def double(x):\n<answer>\nassert double(4) == 8"
RIGHT = {
    "exact": ("Paris", None), "case_sensitive": ("Paris", None), "fuzzy": ("Paris", None), "numeric": ("7", None),
    "math": ("7", None), "choice": ("Paris", None), "set": ("Paris", None), "code": ("    return 2 * x", PROGRAM),
}  # fmt: skip


@pytest.mark.parametrize("grader", sorted(GRADERS))
def test_no_grader_reads_the_trace(grader: str) -> None:
    right, program = RIGHT[grader]
    asked = Question(
        id="q", source="s", subject="s", group="g", question="?", references=[right], grader=grader, program=program,
        choices=["Lyon", "Paris"] if grader == "choice" else None,
    )  # fmt: skip
    wrong = {"code": "    return x", "numeric": "8", "math": "8"}.get(grader, "Lyon")
    assert grade(asked, f"<think>\nThe answer is {wrong}.\n</think>\n\n{right}") == 1
    assert grade(asked, f"The answer is {wrong}.</think>\n{right}") == 1
    assert grade(asked, f"<think>\nThe answer is {right}.\n</think>\n\n{wrong}") == 0
    assert grade(asked, f"<think>\nThe answer is {right}. {right}") == 0
