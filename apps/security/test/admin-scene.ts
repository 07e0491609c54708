import { createAdminService } from '../src/app.ts';
import { DATABASE, scene } from './scene.ts';

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What an operator asks; without `reason` and `bearer` with those of everybody here. */
export interface Asked {
  readonly body?: object;
  readonly reason?: string;
  readonly bearer?: string;
}

/** What came back, in the words of the admin API. */
export interface Answered {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: an answer is whatever came.
  readonly json: any;
}

/** The admin API of a Security server on a store in memory, asked without any network. */
export async function adminScene(): Promise<
  Pick<Awaited<ReturnType<typeof scene>>, 'context' | 'clock'> & {
    call(method: Method, url: string, asked?: Asked): Promise<Answered>;
  }
> {
  const { context, clock, token } = await scene();
  const certificate = await context.keys.ca.issueServer(['localhost'], Date.now());
  const shared = { kind: 'in-process', server: () => '' } as const;
  const service = await createAdminService({ ...context, version: '0', database: DATABASE, shared }, certificate);
  const call = async (method: Method, url: string, asked: Asked = {}): Promise<Answered> => {
    const { body, reason = 'unit test', bearer = token } = asked;
    const headers = { authorization: `Bearer ${bearer}`, ...(reason ? { 'sallyport-reason': reason } : {}) };
    const answer = await service.inject({ method, url, headers, ...(body ? { payload: body } : {}) });
    return { status: answer.statusCode, json: answer.body === '' ? undefined : answer.json() };
  };
  return { context, clock, call };
}
