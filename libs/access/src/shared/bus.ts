/** What happened: new entries of the log are committed, or a Proxy's beat was recorded. */
export type BusTopic = 'entries' | 'applied';

/**
 * Tells all nodes of a realm that something happened. Only a speed-up: messages may be lost or come twice, the beats
 * deliver everything in any case.
 */
export interface Bus {
  publish(topic: BusTopic): void;
  /** Listens, also to what this node itself publishes; gives the function that stops listening. */
  subscribe(topic: BusTopic, listener: () => void): () => void;
  /** False while other nodes are not reached. */
  readonly connected: boolean;
  close(): Promise<void>;
}

/** Bus of a single node. */
export function memoryBus(): Bus {
  const listeners: Record<BusTopic, Set<() => void>> = { entries: new Set(), applied: new Set() };
  return {
    connected: true,
    publish(topic) {
      for (const listener of [...listeners[topic]]) listener();
    },
    subscribe(topic, listener) {
      listeners[topic].add(listener);
      return () => listeners[topic].delete(listener);
    },
    close: async () => undefined,
  };
}

/** Resolves at the next message of a topic, or after `ms`. */
export function nextMessage(bus: Bus, topic: BusTopic, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      unsubscribe();
      resolve();
    };
    const unsubscribe = bus.subscribe(topic, done);
    const timer = setTimeout(done, ms);
  });
}
