import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type Application, expectSeen } from '../application.ts';
import { run } from '../command.ts';
import { serve } from '../serve.ts';

const MEGABYTES = 40;

/** A bridge to the CGI program that git brings (git-http-backend(1), RFC 3875). */
function serveGit(root: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url!, 'http://git');
  const git = spawn('git', ['http-backend'], {
    env: {
      ...process.env,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      REMOTE_USER: 'ada',
      REMOTE_ADDR: '127.0.0.1',
      REQUEST_METHOD: request.method,
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      HTTP_GIT_PROTOCOL: request.headers['git-protocol'] as string | undefined,
    },
  });
  git.stdin.on('error', () => undefined);
  request.pipe(git.stdin);
  let head: Buffer = Buffer.alloc(0);
  git.stdout.on('data', (data: Buffer) => {
    if (response.headersSent) return void response.write(data);
    head = Buffer.concat([head, data]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    const fields = head.subarray(0, end).toString('latin1').split('\r\n');
    const named = new Map(fields.map((field) => field.split(': ') as [string, string]));
    const status = Number.parseInt(named.get('Status') ?? '200', 10);
    named.delete('Status');
    response.writeHead(status, Object.fromEntries(named));
    response.write(head.subarray(end + 4));
  });
  git.once('close', () => response.end());
}

/** git over HTTP, by the program that git brings for it. */
export const git: Application = {
  name: 'git',
  title: 'git over HTTP',
  short: true,
  async start({ folder, freePort }) {
    await run('git', ['init', '--quiet', '--bare', join(folder, 'wiki.git')]);
    await run('git', ['-C', join(folder, 'wiki.git'), 'config', 'http.receivepack', 'true']);
    return serve({ freePort }, (request, response) => serveGit(folder, request, response));
  },
  clients: [
    {
      name: `git: push and clone ${MEGABYTES} MB`,
      through: 'forward',
      async use({ folder, host, proxy }) {
        const environment = { http_proxy: `http://${proxy}`, GIT_CONFIG_NOSYSTEM: '1', HOME: folder };
        const one = join(folder, 'one');
        const commands = [
          ['init', '--quiet', '-b', 'main', one],
          ['-C', one, 'config', 'user.email', 'ada@corp'],
          ['-C', one, 'config', 'user.name', 'Ada'],
        ];
        for (const command of commands) await run('git', command, { environment });
        writeFileSync(join(one, 'big'), randomBytes(MEGABYTES * 1_000_000));
        const url = `http://${host}/wiki.git`;
        await run('git', ['-C', one, 'add', '.'], { environment });
        await run('git', ['-C', one, 'commit', '--quiet', '-m', 'big'], { environment });
        await run('git', ['-C', one, 'push', '--quiet', url, 'main'], { environment });
        await run('git', ['clone', '--quiet', url, '-b', 'main', join(folder, 'two')], { environment });
        const heads = await Promise.all(
          ['one', 'two'].map((name) => run('git', ['-C', join(folder, name), 'rev-parse', 'HEAD'], { environment })),
        );
        expectSeen(heads[0] === heads[1], heads.join(' '));
        return `both have commit ${heads[0]!.slice(0, 8)}`;
      },
    },
  ],
};
