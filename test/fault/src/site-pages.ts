import { type Device, siteOf } from '@sallyport/device';
import { waitFor } from '@sallyport/support';

/** A page that has come. */
export interface SitePage {
  readonly ms: number;
  /** By which site. */
  readonly site: string;
}

/** Gets a page of a resource, whole. @throws Error when it does not come, or is not good */
export async function page(device: Device, name: string, path: string, init: RequestInit = {}): Promise<SitePage> {
  const begunAt = performance.now();
  const response = await device.fetch(`http://${name}.corp${path}`, init);
  const { byteLength } = await response.arrayBuffer();
  if (!response.ok || byteLength === 0) throw new Error(`${name} answers ${response.status}`);
  return { ms: performance.now() - begunAt, site: siteOf(response) ?? '' };
}

/** The first page of a resource, asked for again while a busy machine takes longer to open a channel than a device waits for a site. */
export async function firstPage(device: Device, name: string): Promise<SitePage> {
  let come: SitePage | undefined;
  await waitFor(async () => {
    come = await page(device, name, '/ada/first').catch(() => undefined);
    return come !== undefined;
  }, `a page of ${name}`);
  return come!;
}

/** The code with which a page does not come, with the site that it names, or `a page`; and after how long, ms. */
export async function codeOf(device: Device, name: string): Promise<{ readonly code: string; readonly ms: number }> {
  const begunAt = performance.now();
  const code = await page(device, name, '/ada/lost').then(
    () => 'a page',
    (error: { code?: string; site?: string }) =>
      error.site === undefined ? String(error.code) : `${error.code} (${error.site})`,
  );
  return { code, ms: Math.round(performance.now() - begunAt) };
}

/** A device at work: pages of some resources all the time, one after the other, and things that must not run twice. */
export class Work {
  /** Pages in the order in which they came, with when. */
  readonly pages: { readonly name: string; readonly site: string; readonly at: number }[] = [];
  /** Requests that may be repeated and came to nothing, by their code. */
  readonly failed: string[] = [];
  /** What must not run twice and ended without an answer, but may have run: an honest unknown. */
  unknown = 0;
  /** What must not run twice and certainly did not run. */
  notRun = 0;
  readonly #posts: string[] = [];
  readonly #loops: readonly Promise<void>[];
  #over = false;

  constructor(device: Device, names: readonly string[]) {
    this.#loops = [...names.map((name) => this.#get(device, name)), this.#post(device, names[0]!)];
  }

  /** Stops; gives how many of what must not run twice did all the same. */
  async stop(runsOf: (id: string) => number): Promise<number> {
    this.#over = true;
    await Promise.all(this.#loops);
    return this.#posts.filter((id) => runsOf(id) > 1).length;
  }

  /** The first page of a resource by a site after a moment; undefined while there is none. */
  firstBy(name: string, site: string, after: number): number | undefined {
    return this.pages.find((one) => one.name === name && one.site === site && one.at > after)?.at;
  }

  async #get(device: Device, name: string): Promise<void> {
    for (let i = 0; !this.#over; i++)
      await page(device, name, `/ada/${name}-${i}`).then(
        ({ site }) => this.pages.push({ name, site, at: performance.now() }),
        (error: { code?: string }) => this.failed.push(String(error.code ?? error)),
      );
  }

  async #post(device: Device, name: string): Promise<void> {
    for (let i = 0; !this.#over; i++) {
      const id = `post-${name}-${performance.now()}-${i}`;
      this.#posts.push(id);
      await page(device, name, `/ada/${id}`, { method: 'POST', body: id }).catch((error: { mayHaveRun?: boolean }) => {
        if (error.mayHaveRun === false) this.notRun += 1;
        else this.unknown += 1;
      });
    }
  }
}
