import type { VirtualNetwork } from './network.ts';
import type { VirtualNode } from './node.ts';
import type { Weather } from './virtual-store.ts';
import type { Machine, World } from './world.ts';

/** Everything that goes wrong in a run, at times that the seed chooses. */
export class Faults {
  count = 0;

  constructor(parts: {
    world: World;
    network: VirtualNetwork;
    nodes: readonly VirtualNode[];
    weather: Weather;
    machines: readonly Machine[];
    say: (text: string) => void;
  }) {
    const { world, network, nodes, weather, machines, say } = parts;
    const pause = (machine: Machine, ms: number): void => {
      say(`${machine.name} stands still for ${ms.toFixed(1)} ms`);
      machine.pausedUntil = Math.max(machine.pausedUntil, world.now + ms);
    };
    const kinds: readonly (() => void)[] = [
      // A partition, one-way or both ways, between a Proxy and a node.
      () => {
        const [proxy, node, ms] = [world.one(machines).name, world.one(nodes).machine.name, world.random() * 6_000];
        const direction = world.random();
        say(`${proxy} and ${node} are apart for ${ms.toFixed(1)} ms (${direction.toFixed(2)})`);
        if (direction < 0.7) network.cut(proxy, node, ms);
        if (direction > 0.3) network.cut(node, proxy, ms);
      },
      // A Proxy that reaches no node, or a node that reaches nobody.
      () => {
        const [proxy, ms] = [world.one(machines).name, world.random() * 6_000];
        say(`${proxy} reaches no node for ${ms.toFixed(1)} ms`);
        for (const { machine } of nodes) {
          network.cut(proxy, machine.name, ms);
          network.cut(machine.name, proxy, ms);
        }
      },
      () => network.cut(world.one(nodes).machine.name, 'db', world.random() * 4_000),
      () => network.cut(world.one(nodes).machine.name, 'journal', world.random() * 4_000),
      // A garbage collection, or SIGSTOP.
      () => pause(world.one([...machines, ...nodes.map(({ machine }) => machine)]), world.random() * 5_000),
      // A suspend: the monotonic clock stands still, the wall clock jumps ahead on resume.
      () => {
        const machine = world.one(machines);
        const ms = world.random() * 5_000;
        // While it stands still already, only what comes on top is missed.
        const standsUntil = Math.max(world.now, machine.pausedUntil);
        pause(machine, ms);
        say('… suspended: its monotonic clock stands still too');
        machine.missedMs += machine.pausedUntil - standsUntil;
      },
      () => {
        const machine = world.one([...machines, ...nodes.map((node) => node.machine)]);
        const step = world.between(-20_000, 20_000);
        say(`the wall clock of ${machine.name} steps by ${step.toFixed(1)} ms`);
        machine.wallOffsetMs += step;
      },
      () => {
        say('a node is restarted');
        world.one(nodes).restart();
      },
      // The database fails over, to a host with another clock.
      () => {
        weather.down = true;
        say('the database fails over');
        world.after(world.random() * 3_000, () => {
          weather.down = false;
          weather.clockOffsetMs = world.between(-600_000, 600_000);
        });
      },
    ];
    const many = 2 + Math.floor(world.random() * 8);
    for (let i = 0; i < many; i++) {
      world.after(world.random() * 10_000, () => {
        this.count += 1;
        world.one(kinds)();
      });
    }
  }
}
