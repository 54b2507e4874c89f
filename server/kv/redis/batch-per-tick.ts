// Requests of one tick of the event loop, sent together: one command, one write and one timer for all of them.

/** Bounds one command: Redis serves no other client while it executes it. */
const MAX_BATCH = 500;

interface Batch<Question, Answer> {
  readonly questions: Question[];
  readonly answers: Promise<readonly Answer[]>;
}

/**
 * Returns a function that takes one question and passes all questions of a tick to `askAll`, which answers in their
 * order. When that rejects, every caller of the tick is rejected.
 */
export function batchPerTick<Question, Answer>(
  askAll: (questions: readonly Question[]) => Promise<readonly Answer[]>,
): (question: Question) => Promise<Answer> {
  let batch: Batch<Question, Answer> | null = null;

  function begin(): Batch<Question, Answer> {
    const questions: Question[] = [];
    // After everything that this turn of the event loop reads from its sockets.
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
