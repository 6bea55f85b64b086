"""The model answers every question behind its topic's few-shot block, and the answers are graded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from calibration_tuning.generation import Answer, generate_answers
from calibration_tuning.grading import grade
from calibration_tuning.models import default_device, load_model, load_tokenizer
from calibration_tuning.progress import progress
from calibration_tuning.prompts import PromptFormat
from calibration_tuning.records import Demonstration, GradedAnswer, Question
from calibration_tuning.run_config import RunConfig


def answer_and_grade(
    config: RunConfig, shown: Mapping[str, list[Demonstration]], questions: Sequence[Question]
) -> list[GradedAnswer]:
    """Greedy graded answers, in the order of `questions`."""
    tokenizer = load_tokenizer(config.model)
    prompt_format = PromptFormat.of(tokenizer, config.model.prompt_format)
    model = load_model(config.model).to(default_device())
    by_topic: dict[str, list[int]] = defaultdict(list)
    for index, question in enumerate(questions):
        by_topic[question.topic].append(index)
    answers: dict[int, Answer] = {}
    with progress(len(questions), "answering", "questions") as bar:
        for topic, indices in by_topic.items():
            found = generate_answers(
                model,
                prompt_format,
                prompt_format.few_shot_ids(shown.get(topic, [])),
                [prompt_format.question_ids(questions[i].text) for i in indices],
                config.curation.max_new_tokens,
                config.curation.batch_size,
                bar.update,
            )
            answers.update(zip(indices, found, strict=True))
    return [_graded(question, answers[i]) for i, question in enumerate(questions)]


def _graded(question: Question, answer: Answer) -> GradedAnswer:
    return GradedAnswer.model_validate(
        {
            **question.model_dump(),
            "answer": answer.text,
            "token_ids": answer.token_ids,
            "token_logprobs": answer.token_logprobs,
            "correct": grade(question, answer.text),
        }
    )
