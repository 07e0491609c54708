import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Daemon } from '@sallyport/local-cluster';
import { content, LARGE_BYTES, PATHS, SMALL_BYTES } from './load/lane.ts';

const HERE = { name: 'here', address: '127.0.0.1' };
const START_MS = 10_000;

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, HERE.address);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Starts a program that listens on a port; its log lies in the folder. @throws ClusterError with the log's end */
export async function startProgram(folder: string, command: readonly string[], port: number): Promise<Daemon> {
  const name = `port-${port}`;
  const logFile = join(folder, `${name}.log`);
  const daemon = new Daemon({ name, host: HERE, user: undefined, command, logFile, cwd: folder }).start();
  await daemon.until(() => accepts(port), START_MS);
  return daemon;
}

/** Starts a module of ours as a process of its own. */
export function startModule(folder: string, url: URL, args: readonly string[], port: number): Promise<Daemon> {
  return startProgram(folder, [process.execPath, fileURLToPath(url), ...args], port);
}

/** Lines that every nginx of the bench has. */
const NGINX_COMMON = `error_log stderr crit;
daemon off;
pid NAME.pid;
events { worker_connections 16384; }
`;

/** Writes the configuration of an nginx and starts it. */
export function startNginx(folder: string, name: string, config: string, port: number): Promise<Daemon> {
  const file = join(folder, `${name}.conf`);
  const temporary = join(folder, `${name}-temp`);
  mkdirSync(temporary, { recursive: true });
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${temporary}/${kind};`,
  );
  const common = NGINX_COMMON.replace('NAME', join(folder, name));
  writeFileSync(file, `${common}${config.replace('http {', `http {\n${paths.join('\n')}`)}`);
  return startProgram(folder, ['nginx', '-p', folder, '-c', file], port);
}

/** The server behind every gateway: nginx serves the files, a Node process takes uploads and answers their CRC-32. */
export async function startBackend(
  folder: string,
  ports: { backend: number; uploads: number },
): Promise<readonly Daemon[]> {
  const files = join(folder, 'files');
  mkdirSync(files, { recursive: true });
  writeFileSync(join(files, PATHS.small), content(SMALL_BYTES));
  writeFileSync(join(files, PATHS.large), content(LARGE_BYTES));
  const uploads = await startModule(
    folder,
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
  return [nginx, uploads];
}
