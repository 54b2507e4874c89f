// Requests of one tick of the event loop sent together: one command, one write and one timer for all of them.

/** Bounds one question: Redis serves nobody else while it answers it. */
const MAX_BATCH = 500;

interface Batch<Question, Answer> {
  readonly questions: Question[];
  readonly answers: Promise<readonly Answer[]>;
}

/**
 * Returns a function that asks one question and hands all those of a tick to `askAll`, which answers in their order. When
 * it rejects, every caller of that tick is rejected.
 */
export function batchPerTick<Question, Answer>(
  askAll: (questions: readonly Question[]) => Promise<readonly Answer[]>,
): (question: Question) => Promise<Answer> {
  let batch: Batch<Question, Answer> | null = null;

  function begin(): Batch<Question, Answer> {
    const questions: Question[] = [];
    // Behind everything that this turn has read from its sockets.
    const turnEnd = new Promise((resolve) => setImmediate(resolve));
    const answers = turnEnd.then(() => {
      if (batch?.questions === questions) batch = null;
      return askAll(questions);
    });
    return { questions, answers };
  }

  return async (question) => {
    if (batch === null || batch.questions.length >= MAX_BATCH) batch = begin();
    const { questions, answers } = batch;
    const index = questions.push(question) - 1;
    return (await answers)[index] as Answer;
  };
}
