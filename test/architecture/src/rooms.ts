import { basename } from 'node:path';
import { type Arrows, circlesOf, roomOf, type SourceFile } from './sources.ts';

/**
 * Rooms of the projects that have some, floor by floor from the ground up; those of one line do not know each other. A room is a
 * folder in `src` or `web`, a file beside the folders, or files that are named: what tables hold of a noun stands with the noun, as
 * `rows.ts`, and lies on the ground. `*` stands for all files beside the folders that are not named.
 */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  'libs/access': [
    'store/shape.ts',
    '*/rows.ts',
    'store shared',
    'sealing',
    'realm',
    'identity',
    'rights operators',
    'apps keys',
    'attestation farm',
    'backup journal',
    'revocation',
    'people',
    'directory session',
    '*',
  ],
  'libs/device': ['errors.ts', 'kept', 'gateway', 'sites', 'updates', 'session sign-in streams', '*'],
  'libs/directory': ['connector.ts errors.ts scim', 'ldap oidc', '*'],
  'apps/proxy': ['web-socket config.ts', 'backend', 'serving', 'streams', 'device', 'app.ts', '*'],
  // Who starts it (main.ts) and who builds its listeners (app.ts) know all rooms; a part that needs them all would be a bag.
  'apps/security': [
    'config.ts invitation.ts keys',
    'listeners.ts stores',
    'backup journal revocation',
    'directories scim',
    'farm sign-in',
    'updates',
    'routes upkeep commands',
    '*',
  ],
  'apps/phone': [
    'dom.ts messages.ts state-view.ts config.ts origins.ts',
    'shell resource provider.ts sign-in-views.ts app.ts',
    '*',
  ],
  'libs/releases': ['*', 'package', 'index.ts'],
  'libs/security-api': ['*', 'admin', 'index.ts'],
  'apps/cli': [
    '*',
    'servers resources',
    'up device lint',
    'backup cluster directory standby doctor',
    'commands',
    'command-rooms.ts main.ts',
  ],
  'apps/intranet': ['*', 'dav', 'desk.ts app.ts main.ts'],
  // What is in an image's system stands in lists of parts as well; an image is tried with what the chart gives.
  'deploy/packing': [
    'images/system.ts',
    '*',
    'kubernetes/chart.ts trial',
    'notice farm ports programs support',
    'debian images',
    'kubernetes',
  ],
  'test/bench': ['load', '*', 'peers', 'work.ts report.ts picture.ts', 'hostile works storm', 'main.ts'],
  'test/end-to-end': ['*', 'directory'],
  'test/fault': ['*', 'scenarios', 'side-by-side.ts main.ts'],
  'test/real-applications': ['*', 'applications', 'main.ts'],
};

/** The room of a file, as a table and messages call it. */
function nameOfRoom(path: string, floors: readonly string[] = []): string {
  const named = new Set(floors.flatMap((floor) => floor.split(' ')));
  const [inside, anywhere] = [path.split('/').slice(3).join('/'), `*/${basename(path)}`];
  return [inside, anywhere].find((name) => named.has(name)) ?? (roomOf(path) || basename(path));
}

/** Imports that do not lead downward by the table of a project, in words. */
export function roomViolations(files: readonly SourceFile[], floors: readonly string[]): string[] {
  const levels = new Map(floors.flatMap((floor, level) => floor.split(' ').map((room) => [room, level] as const)));
  const room = (path: string): string => nameOfRoom(path, floors);
  const levelOf = (path: string): number | undefined =>
    levels.get(room(path)) ?? (roomOf(path) === '' ? levels.get('*') : undefined);
  const homeless = new Set(files.filter(({ path }) => levelOf(path) === undefined).map(({ path }) => room(path)));
  return [
    ...[...homeless].map((name) => `${name} stands on no floor: name it in test/architecture/src/rooms.ts`),
    ...files.flatMap(({ path, imports }) =>
      imports
        .filter((target) => room(target) !== room(path) && (roomOf(target) !== '' || roomOf(path) !== ''))
        .filter((target) => !(levelOf(target)! < levelOf(path)!))
        .map((target) => `${path} may not import ${target}: ${room(target)} does not lie below`),
    ),
  ];
}

/** Arrows between rooms, files beside the folders being rooms of their own. */
function roomArrows(files: readonly SourceFile[], floors: readonly string[]): Arrows {
  const arrows = new Map<string, string[]>();
  for (const { path, imports } of files) {
    const room = nameOfRoom(path, floors);
    const others = imports.map((target) => nameOfRoom(target, floors)).filter((other) => other !== room);
    arrows.set(room, [...(arrows.get(room) ?? []), ...others]);
  }
  return arrows;
}

/** Circles between files and between rooms of one project. Types count: who needs to know whom is the question. */
export function circlesIn(files: readonly SourceFile[], floors: readonly string[] = []): string[][] {
  const arrows = new Map(files.map(({ path, imports }) => [path, imports]));
  return [...circlesOf(arrows), ...circlesOf(roomArrows(files, floors))];
}
