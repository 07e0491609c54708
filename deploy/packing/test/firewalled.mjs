// Played by ports.test.ts: a host with rules listens and tries its peer, which is this program, too.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { promisify } from 'node:util';

const PORTS = [22, 5432, 8440, 8443, 8444, 8445, 8446];
const [, program, role, address] = process.argv;

const listen = (port) => new Promise((done) => createServer((socket) => socket.end()).listen(port, '0.0.0.0', done));

function isOpen(port, host) {
  return new Promise((done) => {
    const socket = connect({ port, host });
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}

async function openAt(host) {
  const open = await Promise.all(PORTS.map((port) => isOpen(port, host)));
  return PORTS.filter((_, i) => open[i]);
}

async function play() {
  const command = ['netns', 'exec', 'peer', process.execPath, program];
  const peer = spawn('ip', [...command, 'listener'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  await Promise.all([...PORTS.map(listen), new Promise((done) => peer.once('message', done))]);
  const { stdout } = await promisify(execFile)('ip', [...command, 'peer', '10.9.0.1']);
  const out = await openAt('10.9.0.2');
  execFileSync('nft', ['add', 'element', 'inet', 'sallyport', 'database4', '{ 10.9.0.2 }']);
  const named = await openAt('10.9.0.2');
  process.stdout.write(JSON.stringify({ into: JSON.parse(stdout), out, named }));
  peer.kill();
}

if (role === 'listener') {
  await Promise.all(PORTS.map(listen));
  process.send('listening');
} else {
  if (role === 'peer') process.stdout.write(JSON.stringify(await openAt(address)));
  else await play();
  process.exit();
}
