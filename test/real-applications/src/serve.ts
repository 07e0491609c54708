import { createServer, type RequestListener } from 'node:http';
import type { Place, Started } from './application.ts';

/** Starts a web server of this process as an application. */
export async function serve({ freePort }: Pick<Place, 'freePort'>, listener: RequestListener): Promise<Started> {
  const server = createServer(listener);
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const stop = async (): Promise<void> => void server.close().closeAllConnections();
  return { backend: `http://127.0.0.1:${port}`, stop };
}
