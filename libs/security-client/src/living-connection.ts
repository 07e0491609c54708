import { connect, type Socket } from 'node:net';
import { buildConnector } from 'undici';

/** While nothing comes on a connection, its host is asked so often whether it takes another one, ms. */
const LOOK_MS = 4_000;
/** How long that may take: the kernel of a busy host takes it, too, and one packet may be lost. */
const TAKE_MS = 3_000;
/** Looks in a row that are made before a host is called gone. */
const LOOKS = 2;
/** What says that nobody is there. Whoever refuses is, and a network of our own that is away says nothing of others. */
const NOBODY: readonly (string | undefined)[] = ['EHOSTUNREACH', 'EHOSTDOWN', 'ETIMEDOUT'];

/**
 * Makes connections that end with their host. One that lost its power or its line closes nothing: what is sent there is sent again
 * for a quarter of an hour, and looks like a server that takes its time.
 */
export function livingConnector(options: buildConnector.BuildOptions): buildConnector.connector {
  const make = buildConnector(options);
  return (place, done) =>
    make(place, (...[error, socket]) => {
      if (error) return done(error, null);
      watch(socket);
      done(null, socket);
    });
}

function watch(socket: Socket): void {
  // Once a socket is closed nobody knows where it led.
  const place = { host: socket.remoteAddress!, port: socket.remotePort! };
  let [read, left] = [socket.bytesRead, LOOKS];
  const look = async (): Promise<void> => {
    const heard = socket.bytesRead > read;
    read = socket.bytesRead;
    left = heard || (await takesConnections(place)) ? LOOKS : left - 1;
    if (socket.destroyed) return;
    if (left > 0) timer = setTimeout(look, LOOK_MS).unref();
    else socket.destroy(new Error('its host is gone: it takes no connections any more'));
  };
  let timer = setTimeout(look, LOOK_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}

/** Whether the host of a place is there, as far as can be said. */
function takesConnections(place: { readonly host: string; readonly port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const other = connect(place).unref();
    const say = (takes: boolean): void => {
      clearTimeout(timer);
      other.destroy();
      resolve(takes);
    };
    // What has come while this process stood still is heard first.
    const timer = setTimeout(() => setImmediate(say, false), TAKE_MS).unref();
    other.once('connect', () => say(true));
    other.once('error', ({ code }: NodeJS.ErrnoException) => say(!NOBODY.includes(code)));
  });
}
