import {
  type AccessContext,
  approveRelease,
  appVersions,
  changeRollout,
  checkPackage,
  draftWith,
  endPublisher,
  findUpdateRoot,
  issuePublisher,
  listPublishers,
  listReleases,
  offeredTo,
  proposeRelease,
  putRoot,
  type ReleaseRow,
  type ReleaseStanding,
  releaseStandings,
  rolloutsOf,
  withdrawRelease,
} from '@sallyport/access';
import { formatUpdate, parseBase64Url, updateKeyFrom } from '@sallyport/channel';
import { type GivenAnswerOf, publishers, releases, updates } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { LiveKeys } from '../keys/live-keys.ts';
import { onlineKeyOf } from '../updates/online-key.ts';
import type { PackageStore } from '../updates/package-store.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on releases work with. */
export interface ReleaseRoutes {
  readonly access: AccessContext;
  readonly liveKeys: LiveKeys;
  readonly packages: PackageStore;
}

/** Online keys that a root may name: the present one, and some to change to. */
const ONLINE_KEYS = 4;

function releaseView(row: ReleaseRow): GivenAnswerOf<typeof releases.publish> {
  const { id, appId: app, state, notes, publishedBy, publishedAt } = row;
  const { version, build, os, sha256, bytes, permissions } = row.package;
  return {
    ...{ id, app, version, build, os, state, sha256, bytes, notes, permissions, publishedBy, publishedAt },
    rollouts: rolloutsOf(row),
  };
}

function standingView({ release, percents, running, refused, counts }: ReleaseStanding) {
  return { release: releaseView(release), percents, running, refused, ...counts };
}

/** Releases, their rollouts, and who signs them. */
export function addReleaseRoutes(service: FastifyInstance, { access, liveKeys, packages }: ReleaseRoutes): void {
  const online = onlineKeyOf(liveKeys);
  serve(service, releases.upload, async ({ params: { sha256 }, body: { at, bytes, content }, by }) => {
    const there = await packages.take({ sha256, at, bytes, content: parseBase64Url(content), by: by.actor });
    return { there, package: there === bytes ? await packages.finish({ sha256, by: by.actor }) : null };
  });
  const look = (sha256: string) => packages.get(sha256);
  serve(service, releases.fit, async ({ body }) => {
    await checkPackage(access, body);
    return { done: true };
  });
  serve(service, releases.publish, async ({ body, by }) =>
    releaseView(await proposeRelease(access, { ...body, look }, by)),
  );
  serve(service, releases.list, async ({ query }) => (await listReleases(access, pageOf(query))).map(releaseView));
  serve(service, releases.draft, async ({ params: { id } }) => {
    const { update, threshold } = await draftWith(access, id);
    return { metadata: textOf(update), threshold };
  });
  serve(service, releases.sign, async ({ params: { id }, body: { metadata }, by }) =>
    releaseView(await approveRelease(access, { id, metadata, online }, by)),
  );
  serve(service, releases.rollout, async ({ params: { id }, body, by }) =>
    releaseView(await changeRollout(access, id, body, by)),
  );
  serve(service, releases.withdraw, async ({ params: { id }, by }) => {
    await withdrawRelease(access, id, by);
    return { done: true };
  });
  serve(service, releases.offered, async ({ params: { id }, query }) => [
    ...(await offeredTo(access, id, pageOf(query))),
  ]);
  serve(service, releases.standings, async ({ params: { id }, query }) =>
    (await releaseStandings(access, id, pageOf(query).limit)).map(standingView),
  );
  serve(service, releases.versions, async ({ params: { id }, query }) => [
    ...(await appVersions(access, id, pageOf(query).limit)),
  ]);
  serve(service, updates.root, async () => {
    const root = await findUpdateRoot(access);
    const onlineKeys = Array.from({ length: ONLINE_KEYS }, (_, i) => updateKeyFrom(online(i)).key.keyval.public);
    return { metadata: root ? textOf(root) : null, onlineKeys };
  });
  serve(service, updates.put, async ({ body: { metadata }, by }) => ({
    version: await putRoot(access, metadata, online, by),
  }));
  serve(service, publishers.list, async ({ query }) =>
    (await listPublishers(access, pageOf(query))).map(({ name, createdAt, endedAt }) => ({ name, createdAt, endedAt })),
  );
  serve(service, publishers.issue, async ({ body: { name }, by }) => issuePublisher(access, name, by));
  serve(service, publishers.end, async ({ params: { name }, by }) => {
    await endPublisher(access, name, by);
    return { done: true };
  });
}

function textOf(update: Parameters<typeof formatUpdate>[0]): string {
  return new TextDecoder().decode(formatUpdate(update));
}
