import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Application, expectSeen, startedAt } from '../application.ts';
import { listening, run, start } from '../command.ts';
import { PYTHON } from './python.ts';

/** pypiserver, and pip. */
export const pypi: Application = {
  name: 'pypi',
  title: 'pypiserver',
  needs: { python: [PYTHON.pypiserver] },
  async start({ folder, freePort, programs }) {
    const port = await freePort();
    const packages = join(folder, 'packages');
    await run(programs.python('pip'), ['download', '--quiet', '--no-deps', '--dest', packages, 'six==1.17.0']);
    const program = start(programs.python('pypi-server'), ['run', '-i', '127.0.0.1', '-p', String(port), packages]);
    await listening(port, program);
    return startedAt(`http://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'pip install',
      through: 'forward',
      async use({ folder, host, proxy, programs }) {
        const from = ['--index-url', `http://${host}/simple/`, '--trusted-host', host, '--proxy', `http://${proxy}`];
        const args = ['install', '--isolated', '--no-cache-dir', '--target', join(folder, 'lib'), ...from, 'six'];
        await run(programs.python('pip'), args);
        const check = ['-c', 'import six; print(six.__version__)'];
        const environment = { PYTHONPATH: join(folder, 'lib') };
        return `six ${(await run(programs.python('python'), check, { environment })).trim()} installed`;
      },
    },
  ],
};

const VERDACCIO_CONFIG = (folder: string): string => `storage: ${folder}/storage
auth:
  htpasswd:
    file: ${folder}/htpasswd
    algorithm: bcrypt
packages:
  '**':
    access: $all
    publish: $all
log: { type: stdout, format: pretty, level: warn }
`;

/** Verdaccio, and npm with a scope: its paths have %2F. */
export const npm: Application = {
  name: 'npm',
  title: 'Verdaccio',
  needs: { npm: ['verdaccio@6.10.4'] },
  options: ['--paths', 'exact'],
  async start({ folder, freePort, programs }) {
    const port = await freePort();
    writeFileSync(join(folder, 'config.yaml'), VERDACCIO_CONFIG(folder));
    const args = ['--config', join(folder, 'config.yaml'), '--listen', `127.0.0.1:${port}`];
    const program = start(programs.npm('verdaccio'), args, { environment: { HOME: folder } });
    await listening(port, program);
    return startedAt(`http://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'npm publish and install of @corp/tides',
      through: 'forward',
      async use({ folder, host, proxy }) {
        const [made, used] = ['made', 'used'].map((name) => join(folder, name)) as [string, string];
        for (const path of [made, used]) mkdirSync(path);
        writeFileSync(join(made, 'package.json'), JSON.stringify({ name: '@corp/tides', version: '1.0.0' }));
        writeFileSync(join(made, 'index.js'), 'module.exports = "high water";');
        writeFileSync(join(used, 'package.json'), JSON.stringify({ name: 'used', version: '1.0.0' }));
        const config = `registry=http://${host}/\nproxy=http://${proxy}\nnoproxy=\n//${host}/:_authToken=any\n`;
        writeFileSync(join(folder, 'npmrc'), config);
        const environment = {
          npm_config_userconfig: join(folder, 'npmrc'),
          npm_config_cache: join(folder, 'cache'),
          npm_config_registry: `http://${host}/`,
          npm_config_proxy: `http://${proxy}`,
        };
        await run('npm', ['publish', '--access', 'public'], { cwd: made, environment });
        await run('npm', ['install', '--no-audit', '@corp/tides'], { cwd: used, environment });
        const seen = await run('node', ['-p', 'require("@corp/tides")'], { cwd: used });
        expectSeen(seen.trim() === 'high water', seen);
        return 'published, installed and loaded';
      },
    },
  ],
};
