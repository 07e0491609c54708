import { type ChildProcess, fork, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { content, LARGE_BYTES, PATHS, SMALL_BYTES } from './load/lane.ts';

/** A child process of the bench. */
export interface Child {
  readonly pid: number;
  stop(): Promise<void>;
}

/** Waits until something listens on a port of this machine. @throws Error after ten seconds */
export async function listening(port: number, log: () => string = () => ''): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('close', () => socket.destroy());
      socket.once('connect', () => socket.end());
    });
    if (open) return;
    await sleep(50);
  }
  throw new Error(`nothing listens on port ${port}: ${log()}`);
}

function childOf(child: ChildProcess): Child {
  return {
    pid: child.pid!,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Starts a program that listens on a port. */
export async function startProgram(program: string, args: readonly string[], port: number): Promise<Child> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (log += String(text)));
  child.on('error', (error) => (log += error.message));
  await listening(port, () => log);
  return childOf(child);
}

/** Starts a module of ours as a process of its own. */
export async function startModule(url: URL, args: readonly string[], port: number): Promise<Child> {
  const child = fork(fileURLToPath(url), args, { stdio: 'inherit' });
  await listening(port);
  return childOf(child);
}

/** Lines that every nginx of the bench has. */
export const NGINX_COMMON = `error_log stderr crit;
daemon off;
pid NAME.pid;
events { worker_connections 16384; }
`;

/** Writes the configuration of an nginx and starts it. */
export function startNginx(folder: string, name: string, config: string, port: number): Promise<Child> {
  const file = join(folder, `${name}.conf`);
  const temporary = join(folder, `${name}-temp`);
  mkdirSync(temporary, { recursive: true });
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${temporary}/${kind};`,
  );
  const common = NGINX_COMMON.replace('NAME', join(folder, name));
  writeFileSync(file, `${common}${config.replace('http {', `http {\n${paths.join('\n')}`)}`);
  return startProgram('nginx', ['-p', folder, '-c', file], port);
}

/** The server behind every gateway: nginx serves the files, a Node process takes uploads and answers their CRC-32. */
export async function startBackend(folder: string, ports: { backend: number; uploads: number }): Promise<Child> {
  const files = join(folder, 'files');
  mkdirSync(files, { recursive: true });
  writeFileSync(join(files, PATHS.small), content(SMALL_BYTES));
  writeFileSync(join(files, PATHS.large), content(LARGE_BYTES));
  const uploads = await startModule(
    new URL('./upload-backend.ts', import.meta.url),
    [String(ports.uploads)],
    ports.uploads,
  );
  const nginx = await startNginx(
    folder,
    'backend',
    `worker_processes 2;
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  open_file_cache max=16;
  upstream uploads { server 127.0.0.1:${ports.uploads}; keepalive 64; }
  server {
    listen 127.0.0.1:${ports.backend} backlog=4096 reuseport;
    root ${files};
    location = ${PATHS.upload} {
      client_max_body_size 0;
      proxy_request_buffering off;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://uploads;
    }
  }
}
`,
    ports.backend,
  );
  return {
    pid: nginx.pid,
    async stop() {
      await nginx.stop();
      await uploads.stop();
    },
  };
}
