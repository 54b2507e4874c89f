// Questions of one turn of the event loop asked together: one command, one write and one timer for all of them.

/** Bounds one question: Redis serves nobody else while it answers it. */
const MAX_GATHERED = 500;

interface Gathering<Question, Answer> {
  readonly questions: Question[];
  readonly answers: Promise<readonly Answer[]>;
}

/**
 * Returns a function that asks one question and hands all those of a turn to `askAll`, which answers in their order. When
 * it rejects, everybody who asked is told.
 */
export function gatherPerTurn<Question, Answer>(
  askAll: (questions: readonly Question[]) => Promise<readonly Answer[]>,
): (question: Question) => Promise<Answer> {
  let gathering: Gathering<Question, Answer> | null = null;

  function begin(): Gathering<Question, Answer> {
    const questions: Question[] = [];
    // Behind everything that this turn has read from its sockets.
    const turnEnd = new Promise((resolve) => setImmediate(resolve));
    const answers = turnEnd.then(() => {
      if (gathering?.questions === questions) gathering = null;
      return askAll(questions);
    });
    return { questions, answers };
  }

  return async (question) => {
    if (gathering === null || gathering.questions.length >= MAX_GATHERED) gathering = begin();
    const { questions, answers } = gathering;
    const index = questions.push(question) - 1;
    return (await answers)[index] as Answer;
  };
}
