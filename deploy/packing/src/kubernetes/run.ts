import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '@sallyport/support';
import { ROOT } from '../source.ts';
import { TrialTally } from '../trial/tally.ts';
import { serveChannelMetrics } from './channel-metrics.ts';
import { NAMESPACE, OUTSIDE, type RunningPod, TrialCluster } from './cluster.ts';
import { EndedContainers } from './ends.ts';
import {
  allWell,
  chartOf,
  DEVICES,
  type InstalledVersion,
  installFarm,
  PROXIES,
  rolledOut,
  type TrialFarm,
} from './farm.ts';
import { judgePolicies } from './policies.ts';

/** What a trial is made with. */
export interface TrialParts {
  /** Folder of `npm run kubernetes -- build`. */
  readonly built: string;
  /** Folder with an archive of each image, and their version. */
  readonly images: string;
  readonly version: string;
  /** Folder with the project as it was before, and its images in `dist/images`: the farm begins with that version. */
  readonly before: string | undefined;
  /** Steps that are taken, in their order. */
  readonly steps: readonly StepName[];
  readonly say: (text: string) => void;
}

interface Scene extends TrialFarm {
  readonly tally: TrialTally;
  /** What the farm becomes by an upgrade. */
  readonly next: InstalledVersion;
  /** Tag of images that probes are made from. */
  readonly tag: string;
  readonly say: (text: string) => void;
}

/** What is done to the farm while devices use it, in this order. */
const STEPS = {
  ...{ upgrade: upgradeFarm, policies: tryPolicies, drain: drainNode, scale: scaleProxies, kill: killPods },
  channels: scaleByChannels,
  outage: takeDatabaseAway,
};
/** Name of one of them. */
export type StepName = keyof typeof STEPS;
/** All of them. */
export const STEP_NAMES = Object.keys(STEPS) as readonly StepName[];

const IMAGE = 'localhost/sallyport';
/** Whose images a farm runs. */
const ROLES = ['security', 'proxy'];
/** Requests of so many ms belong to a step that is over. */
const SETTLE_MS = 3_000;
const SCALES_WITHIN_MS = 600_000;
const BUSY_PAUSE_MS = 20;
const QUIET_PAUSE_MS = 3_000;
const USUAL_PAUSE_MS = 400;

/** Brings a cluster up, installs the chart, and takes the steps under load. Gives whether all held. */
export async function runInCluster(parts: TrialParts): Promise<boolean> {
  const { built, steps, say } = parts;
  const began = performance.now();
  const timed = (text: string): void =>
    say(`${((performance.now() - began) / 1_000).toFixed(0).padStart(5)} s  ${text}`);
  const tally = new TrialTally(timed);
  const cluster = TrialCluster.start(built, archivesIn(parts.before ? imagesOf(parts.before) : parts.images));
  useNamesOf(cluster);
  timed('two nodes are ready');
  const { first, next } = await bringVersions(cluster, parts);
  const farm = await installFarm(cluster, first, timed);
  const scene = { ...farm, tally, next, tag: first.tag, say: timed };
  const ended = new EndedContainers(cluster, timed);
  await count(scene, 'devices read pages', () => sleep(10_000));
  for (const name of STEP_NAMES.filter((step) => steps.includes(step))) {
    await STEPS[name](scene).catch((error: Error) => tally.add(`${name}: came to its end`, error.message, false));
  }
  await ended.stop();
  tally.add('servers that ended themselves', ended.found.join('; ') || 0, ended.found.length === 0);
  await farm.load.stop();
  await farm.operator.close();
  farm.backend.close();
  await farm.stores.stop();
  timed(`${tally.lines.filter(({ ok }) => ok).length} of ${tally.lines.length} held`);
  return tally.holds;
}

/** Folder of the images that were built from a folder with the project. */
function imagesOf(project: string): string {
  return join(project, 'dist', 'images');
}

function archivesIn(images: string): string[] {
  return ROLES.map((role) => join(images, `${role}.tar`));
}

/** Gives both versions names on the nodes: another code, or the same code by another tag. */
async function bringVersions(
  cluster: TrialCluster,
  { before, images, version }: TrialParts,
): Promise<{ first: InstalledVersion; next: InstalledVersion }> {
  const now = { chart: chartOf(ROOT), tag: version };
  if (!before) {
    const tag = `${version}-next`;
    for (const role of ROLES) await cluster.tag(`${IMAGE}/${role}:${version}`, `${IMAGE}/${role}:${tag}`);
    return { first: now, next: { ...now, tag } };
  }
  const old = (JSON.parse(readFileSync(join(before, 'package.json'), 'utf8')) as { version: string }).version;
  const first = { chart: chartOf(before), tag: `${old}-before` };
  for (const role of ROLES) await cluster.tag(`${IMAGE}/${role}:${old}`, `${IMAGE}/${role}:${first.tag}`);
  for (const archive of archivesIn(images)) await cluster.import(archive);
  return { first, next: now };
}

/** From now on this process finds the Services of the cluster by their names. */
function useNamesOf(cluster: TrialCluster): void {
  const file = join(cluster.folder, 'resolv.conf');
  writeFileSync(file, `nameserver ${OUTSIDE}\noptions timeout:2 attempts:5\n`);
  execFileSync('mount', ['--bind', file, existsSync('/etc/resolv.conf') ? '/etc/resolv.conf' : file]);
}

/** Does something under load and counts what became of the requests meanwhile. */
async function count(scene: Scene, what: string, work: () => Promise<unknown>): Promise<void> {
  const { load, tally } = scene;
  load.take();
  await work();
  await allWell(scene);
  await sleep(SETTLE_MS);
  const { ok, failed, unknown, ranTwice, logins, longestMs, errors } = load.take();
  const words = [
    `${ok} requests`,
    `${failed} failed`,
    `${logins} logins`,
    `longest ${(longestMs / 1_000).toFixed(1)} s`,
  ];
  if (unknown > 0) words.push(`${unknown} POSTs of which nobody knows`);
  if (ranTwice > 0) words.push(`${ranTwice} POSTs ran twice`);
  words.push(...[...errors].map(([error, times]) => `${times}× ${error}`));
  tally.add(what, words.join(', '), ok > 0 && failed === 0 && logins === 0 && ranTwice === 0);
}

async function oneByOne(scene: Scene, work: (pod: RunningPod) => Promise<unknown>): Promise<void> {
  for (const part of ['proxy', 'security'] as const)
    for (const pod of await scene.cluster.pods(part)) {
      scene.say(pod.name);
      await work(pod);
      await sleep(SETTLE_MS);
      await allWell(scene);
    }
}

async function killPods(scene: Scene): Promise<void> {
  const { cluster } = scene;
  const remove = ({ name }: RunningPod) => cluster.kubectl('-n', NAMESPACE, 'delete', 'pod', name, '--wait=true');
  await count(scene, 'every pod deleted, one by one', () => oneByOne(scene, remove));
  await count(scene, 'the process of every pod killed, one by one', () =>
    oneByOne(scene, (pod) => cluster.kill(pod.name)),
  );
}

async function bothRolledOut({ cluster }: Scene): Promise<void> {
  await rolledOut(cluster, 'statefulset/farm-security');
  await rolledOut(cluster, 'deployment/farm-proxy');
}

async function upgradeFarm(scene: Scene): Promise<void> {
  const { cluster, next } = scene;
  const upgrade = async (): Promise<void> => {
    await cluster.helm('upgrade', 'farm', next.chart, '--reset-then-reuse-values', '--set', `image.tag=${next.tag}`);
    await bothRolledOut(scene);
  };
  await count(scene, 'a rolling upgrade', upgrade);
  await count(scene, 'a rollback', async () => {
    await cluster.helm('rollback', 'farm', '1');
    await bothRolledOut(scene);
  });
  await count(scene, 'the upgrade again', upgrade);
}

async function drainNode(scene: Scene): Promise<void> {
  const { cluster } = scene;
  await count(scene, 'a node drained', () =>
    cluster.kubectl('drain', 'node2', '--ignore-daemonsets', '--delete-emptydir-data', '--force', '--timeout=600s'),
  );
  await cluster.kubectl('uncordon', 'node2');
}

/** How much of what they asked for Proxies may use, percent, so that there are more; on a machine with much to do load alone brings none. */
const LOW_AIM = 5;

async function scaleProxies(scene: Scene): Promise<void> {
  const { load } = scene;
  const aimAt = (percent: number): Promise<string> => setAutoscaling(scene, 'cpuPercent', percent);
  const { least, most, cpuPercent } = PROXIES;
  const what = `the autoscaler, aiming at ${LOW_AIM} % and ${cpuPercent} % again, from ${least} to ${most} Proxies and back`;
  await count(scene, what, async () => {
    load.pauseMs = BUSY_PAUSE_MS;
    await aimAt(LOW_AIM);
    await untilThereAre(scene, most);
    load.pauseMs = QUIET_PAUSE_MS;
    await aimAt(cpuPercent);
    await untilThereAre(scene, least);
    load.pauseMs = USUAL_PAUSE_MS;
  });
}

function setAutoscaling({ cluster, next }: Scene, name: 'cpuPercent' | 'channels', value: number): Promise<string> {
  const set = ['--set', `proxy.autoscaling.${name}=${value}`];
  return cluster.helm('upgrade', 'farm', next.chart, '--reset-then-reuse-values', ...set);
}

async function untilThereAre({ cluster, say }: Scene, wanted: number): Promise<void> {
  const so = async (): Promise<boolean> =>
    (await cluster.pods('proxy')).filter(({ ready, ending }) => ready && !ending).length === wanted;
  await waitFor(so, `${wanted} Proxies`, () => '', SCALES_WITHIN_MS);
  say(`${wanted} Proxies`);
}

/** Channels of a Proxy of which the devices of a trial have twice as many on the fewest Proxies, and more than they will ever have. */
const CHANNELS = { few: DEVICES / PROXIES.least / 2, many: 1_000 };

/** As an operator sets it up who follows `docs/kubernetes.md`: by what Prometheus counts, and its adapter serves. */
async function scaleByChannels(scene: Scene): Promise<void> {
  const { least, most } = PROXIES;
  await serveChannelMetrics(scene.cluster);
  const what = `the autoscaler, aiming at ${CHANNELS.few} and ${CHANNELS.many} channels a Proxy, from ${least} to ${most} and back`;
  await count(scene, what, async () => {
    scene.load.pauseMs = QUIET_PAUSE_MS;
    await setAutoscaling(scene, 'channels', CHANNELS.few);
    await untilThereAre(scene, most);
    await setAutoscaling(scene, 'channels', CHANNELS.many);
    await untilThereAre(scene, least);
    scene.load.pauseMs = USUAL_PAUSE_MS;
  });
}

/** Longer than any patience that a start would have, ms. */
const AWAY_MS = 75_000;

/** Nodes that start while their database is away wait for it: nobody takes them for ready, and nobody starts them again. */
async function takeDatabaseAway(scene: Scene): Promise<void> {
  const { cluster, stores, tally, load } = scene;
  await stores.stopDatabase();
  const part = 'app.kubernetes.io/component=security';
  await cluster.kubectl('-n', NAMESPACE, 'delete', 'pod', '-l', part, '--wait=true');
  await sleep(AWAY_MS);
  const waiting = await cluster.pods('security');
  const log = await cluster.kubectl('-n', NAMESPACE, 'logs', waiting[0]!.name);
  const tries = log.split('the start waits for a database').length - 1;
  stores.startDatabase();
  const began = performance.now();
  await allWell(scene);
  const seconds = Math.round((performance.now() - began) / 1_000);
  const restarts = (await cluster.pods('security')).reduce((sum, pod) => sum + pod.restarts, 0);
  const wereReady = waiting.filter(({ ready }) => ready).length;
  const words = `${tries} lines say so, ${wereReady} were ready, ${restarts} started again; all well after ${seconds} s`;
  tally.add('nodes that start without their database', words, tries > 0 && wereReady === 0 && restarts === 0);
  // What the devices met meanwhile belongs to no step.
  load.take();
}

function tryPolicies({ cluster, tag, tally }: Scene): Promise<void> {
  return judgePolicies(cluster, `${IMAGE}/proxy:${tag}`, tally);
}
