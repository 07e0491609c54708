import { createHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { allRight, type Bench, type Measured, type Work } from '../work.ts';

/** Members of the group, the most that a request may name. */
const MEMBERS = 100_000;
/** Channels that are opened meanwhile, and how many at a time. */
const AT_ONCE = 100;
const PARALLEL = 2;
const SESSIONS = 64;
const ALONE_MS = 10_000;
const ALONE = 'nothing beside';
const BESIDE = `a group of ${MEMBERS.toLocaleString('en')} beside`;

/** Opens channels, each authorised by Security, until some work is done; the work says what came of it. */
async function openWhile({ gateway, load }: Bench, work: Promise<string>): Promise<Measured> {
  const lanes = gateway.lanes(await gateway.sessions(SESSIONS), 1);
  const latency = createHistogram();
  let said: string | undefined;
  const working = work.then((words) => {
    said = words;
  });
  do {
    const opened = await load.reopen(lanes, { count: AT_ONCE, parallel: PARALLEL });
    allRight(opened);
    latency.add(opened.latency);
  } while (said === undefined);
  await working;
  const ms = (percent: number): string => (latency.percentile(percent) / 1_000).toFixed(1);
  return {
    value: latency.percentile(99) / 1_000,
    note: `p50 ${ms(50)} ms, slowest of ${latency.count} ${ms(100)} ms; ${said}`,
  };
}

/** A provider replaces a group by one of very many members, as wordy as providers are. */
async function putLargeGroup({ gateway, scale, say }: Bench): Promise<() => Promise<string>> {
  say('writing people …');
  const { provider, ids } = await gateway.provider(Math.round(MEMBERS * scale));
  const made = await provider.call('POST', '/Groups', { displayName: 'everybody' });
  const members = ids.map((value) => ({
    value,
    display: `Person ${value}`,
    type: 'User',
    $ref: `https://localhost/scim/v2/Users/${value}`,
  }));
  const body = JSON.stringify({ displayName: 'everybody', members });
  return async () => {
    const from = performance.now();
    await provider.call('PUT', `/Groups/${made['id']}`, body);
    await provider.close();
    const seconds = (performance.now() - from) / 1_000;
    return `${(body.length / 1_000_000).toFixed(0)} MB were written in ${seconds.toFixed(0)} s`;
  };
}

/** W13: what everybody else waits for while a provider sends a group as large as they come. */
export const largeGroup: Work = {
  name: 'W13',
  title: 'Channels are opened beside a very large group',
  once: true,
  goals: [],
  lines(bench) {
    const subject = bench.gateway.subject(1).name;
    const unit = 'ms to open a channel, p99';
    return [
      {
        ...{ subject, variant: ALONE, unit },
        measure: () => openWhile(bench, sleep(ALONE_MS * bench.scale, 'nobody sends anything')),
      },
      {
        ...{ subject, variant: BESIDE, unit },
        measure: async () => {
          const put = await putLargeGroup(bench);
          return openWhile(bench, put());
        },
      },
    ];
  },
};
