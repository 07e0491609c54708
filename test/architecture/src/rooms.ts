import { basename } from 'node:path';
import { type Arrows, circlesOf, roomOf, type SourceFile } from './sources.ts';

/**
 * Rooms of the projects that have some, floor by floor from the ground up; those of one line do not know each other. A room is a
 * folder in `src` or `web`, or a file beside the folders. `*` stands for all files that are not named.
 */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  'libs/access': [
    'store shared',
    'sealing identity',
    'realm',
    'rights operators',
    'keys',
    'farm',
    'journal',
    'revocation',
    'people',
    'directory session',
    '*',
  ],
  'libs/directory': ['connector.ts errors.ts scim', 'ldap oidc', '*'],
  'apps/phone': [
    'dom.ts messages.ts state-view.ts config.ts origins.ts',
    'shell resource provider.ts sign-in-views.ts app.ts',
    '*',
  ],
};

/** A room of a file, for tables and messages. */
function nameOfRoom(path: string): string {
  return roomOf(path) || basename(path);
}

/** Imports that do not lead downward by the table of a project, in words. */
export function roomViolations(files: readonly SourceFile[], floors: readonly string[]): string[] {
  const levels = new Map(floors.flatMap((floor, level) => floor.split(' ').map((room) => [room, level] as const)));
  const levelOf = (path: string): number | undefined =>
    levels.get(nameOfRoom(path)) ?? (roomOf(path) === '' ? levels.get('*') : undefined);
  const homeless = new Set(files.filter(({ path }) => levelOf(path) === undefined).map(({ path }) => nameOfRoom(path)));
  return [
    ...[...homeless].map((room) => `${room} stands on no floor: name it in test/architecture/src/rooms.ts`),
    ...files.flatMap(({ path, imports }) =>
      imports
        .filter((target) => nameOfRoom(target) !== nameOfRoom(path) && !(levelOf(target)! < levelOf(path)!))
        .filter((target) => roomOf(target) !== '' || roomOf(path) !== '')
        .map((target) => `${path} may not import ${target}: ${nameOfRoom(target)} does not lie below`),
    ),
  ];
}

/** Arrows between rooms, files beside the folders being rooms of their own. */
function roomArrows(files: readonly SourceFile[]): Arrows {
  const arrows = new Map<string, string[]>();
  for (const { path, imports } of files) {
    const others = imports.map(nameOfRoom).filter((room) => room !== nameOfRoom(path));
    arrows.set(nameOfRoom(path), [...(arrows.get(nameOfRoom(path)) ?? []), ...others]);
  }
  return arrows;
}

/** Circles between files and between rooms of one project, in words. Types count: who needs to know whom is the question. */
export function circlesIn(files: readonly SourceFile[]): string[] {
  const arrows = new Map(files.map(({ path, imports }) => [path, imports]));
  return [...circlesOf(arrows), ...circlesOf(roomArrows(files))].map((circle) => `a circle: ${circle.join(', ')}`);
}
