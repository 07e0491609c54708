import { mkdirSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { listening, startCommand } from '@sallyport/support';
import { type Application, expectSeen, startedAt } from '../application.ts';
import { run } from '../command.ts';
import { serve } from '../serve.ts';
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
    const program = startCommand(programs.python('pypi-server'), [
      'run',
      '-i',
      '127.0.0.1',
      '-p',
      String(port),
      packages,
    ]);
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

interface Published {
  readonly name: string;
  readonly versions: Readonly<Record<string, { dist: { tarball: string } }>>;
  readonly _attachments: Readonly<Record<string, { data: string }>>;
}

/** The two requests of npm's registry that publishing and installing need, with the path as it came: `/@corp%2ftides`. */
function registry(): RequestListener {
  const published = new Map<string, Published>();
  const answer = (request: IncomingMessage, response: ServerResponse, body: string): void => {
    const [, escaped = '', file] = /^\/([^/?]+)(?:\/-\/([^?]+))?/.exec(request.url!) ?? [];
    const name = decodeURIComponent(escaped);
    if (request.method === 'PUT') published.set(name, JSON.parse(body) as Published);
    const found = published.get(name);
    if (!found) return void response.writeHead(404).end('{}');
    if (file) return void response.end(Buffer.from(Object.values(found._attachments)[0]!.data, 'base64'));
    for (const [version, { dist }] of Object.entries(found.versions))
      dist.tarball = `http://${request.headers.host}/${escaped}/-/${version}.tgz`;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found));
  };
  return (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => answer(request, response, Buffer.concat(parts).toString()));
  };
}

/** A registry of npm packages, and npm with a scope: its paths have %2F. */
export const npm: Application = {
  name: 'npm',
  title: 'npm registry (stand-in)',
  options: ['--paths', 'exact'],
  start: (place) => serve(place, registry()),
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
