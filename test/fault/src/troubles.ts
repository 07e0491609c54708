import { setTimeout as sleep } from 'node:timers/promises';
import { Repeating, randomFrom } from '@sallyport/support';
import type { Farm } from './farm.ts';
import { pick } from './pick.ts';

/** A trouble that begins, and what ends it. */
export interface Trouble {
  readonly weight: number;
  begin(): () => void;
}

const one = <T>(random: () => number, all: readonly T[]): T => all[Math.floor(random() * all.length)]!;

/**
 * What can happen between Proxies and Security. The way from a Proxy to its backends stays whole: what it had sent
 * before a line went dead, and the network delivers later, is beyond anybody's reach.
 */
export function proxyTroubles({
  network,
  proxies,
  nodes,
}: Pick<Farm, 'network' | 'proxies' | 'nodes'>): (random: () => number) => Trouble[] {
  return (random) => {
    const proxy = one(random, proxies);
    const node = one(random, nodes);
    const cut = (direction: 'in' | 'out' | 'both') => () => {
      for (const { host } of nodes) network.cutBetween(proxy.host, host, direction);
      return () => network.heal(proxy.host);
    };
    const frozen = (): (() => void) => {
      proxy.process.kill('SIGSTOP');
      return () => proxy.process.kill('SIGCONT');
    };
    const apart = (): (() => void) => {
      network.cutBetween(proxy.host, node.host);
      return () => network.heal(proxy.host);
    };
    const resetting = (): (() => void) => {
      network.reset(proxy.host, node.host);
      return () => network.heal(proxy.host);
    };
    return [
      { weight: 3, begin: cut('both') },
      { weight: 2, begin: cut('in') },
      { weight: 2, begin: cut('out') },
      { weight: 3, begin: frozen },
      { weight: 2, begin: apart },
      { weight: 2, begin: resetting },
    ];
  };
}

/** The same, and Security nodes that stop or are cut off. */
export function allTroubles(farm: Farm): (random: () => number) => Trouble[] {
  const ofProxies = proxyTroubles(farm);
  return (random) => {
    const node = one(random, farm.nodes);
    const frozen = (): (() => void) => {
      node.process.kill('SIGSTOP');
      return () => node.process.kill('SIGCONT');
    };
    const cut = (): (() => void) => {
      farm.network.cut(node.host);
      return () => farm.network.heal(node.host);
    };
    return [...ofProxies(random), { weight: 6, begin: frozen }, { weight: 6, begin: cut }];
  };
}

/** One trouble after another at random, until it is stopped. */
export function faultsOf(troubles: (random: () => number) => Trouble[], seed: number): Repeating {
  const random = randomFrom(seed);
  return new Repeating(async () => {
    const weighed = troubles(random).map((trouble) => [trouble.weight, trouble] as const);
    const end = pick(random, weighed).begin();
    await sleep(300 + random() * 5_000);
    end();
    await sleep(200 + random() * 500);
  });
}
