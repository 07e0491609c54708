import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type KnownChart, type KnownServer, settingsGivenBy } from '@sallyport/lint';
import { CliError } from '../output.ts';
import { userPath } from '../user-path.ts';

const ROOT = new URL('../../../../', import.meta.url);

/** A server with its settings, from its own sources: beside this program, or in the folder of the server's package. @throws CliError */
export async function knownServer(name: KnownServer['name']): Promise<KnownServer> {
  const inside = `apps/${name}/src/config.ts`;
  const file = [new URL(inside, ROOT), new URL(`../${name}/${inside}`, ROOT)].find((one) => existsSync(one));
  if (!file)
    throw new CliError(
      `the settings of ${name} are not known here`,
      `run it where sallyport-${name} is installed, or in a clone`,
    );
  const { SETTINGS } = (await import(file.href)) as { SETTINGS: KnownServer['settings'] };
  return { name, settings: SETTINGS };
}

/** The chart in a folder; absent: the one of this clone. @throws CliError */
export async function knownChart(folder: string | undefined): Promise<KnownChart> {
  const place = folder === undefined ? fileURLToPath(new URL('deploy/kubernetes/chart', ROOT)) : userPath(folder);
  const file = `${place}/values.yaml`;
  if (!existsSync(file)) throw new CliError(`there is no chart at ${place}`, 'name its folder: --chart <folder>');
  return {
    defaults: readFileSync(file, 'utf8'),
    servers: [await knownServer('security'), await knownServer('proxy')],
    given: {
      security: settingsGivenBy(readFileSync(`${place}/templates/security.yaml`, 'utf8')),
      proxy: settingsGivenBy(readFileSync(`${place}/templates/proxy.yaml`, 'utf8')),
    },
  };
}
