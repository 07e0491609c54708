/** What takes too long. */
export class TooLate extends Error {
  constructor() {
    super('no answer in time');
    this.name = 'TooLate';
  }
}

/** A result, or TooLate after so many ms; whatever comes later is dropped. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TooLate()), ms);
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
