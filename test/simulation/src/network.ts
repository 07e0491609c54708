import type { Machine, World } from './world.ts';

/** What is wrong between machines at the moment, by name: `a>b` is the way from a to b. */
export class VirtualNetwork {
  readonly #world: World;
  readonly #cut = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  cut(from: string, to: string, ms: number): void {
    const way = `${from}>${to}`;
    this.#cut.add(way);
    this.#world.after(ms, () => this.#cut.delete(way));
  }

  open(from: string, to: string): boolean {
    return !this.#cut.has(`${from}>${to}`);
  }

  /** Carries a message; it may be late, and lost when the way is cut as it leaves or arrives. */
  send(from: Machine, to: Machine, deliver: () => void): void {
    const world = this.#world;
    if (!this.open(from.name, to.name)) return;
    const late = world.chance(0.1) ? 400 : 15;
    world.after(
      1 + world.random() * late,
      () => {
        if (this.open(from.name, to.name)) deliver();
      },
      to,
    );
  }
}
