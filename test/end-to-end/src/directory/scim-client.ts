import { Agent, request } from 'undici';

/** An answer of the SCIM server. */
export interface ScimAnswer {
  readonly status: number;
  readonly body: { readonly [name: string]: unknown };
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** A SCIM client that writes what Entra ID's provisioning writes. */
export class ScimClient {
  token: string;
  readonly #base: string;
  readonly #agent: Agent;

  constructor(base: string, ca: string, token: string) {
    this.#base = base;
    this.token = token;
    this.#agent = new Agent({ connect: { ca } });
  }

  async call(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: object | string,
  ): Promise<ScimAnswer> {
    const answer = await request(`${this.#base}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/scim+json' }),
      },
      body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await answer.body.text();
    return {
      status: answer.statusCode,
      body: text === '' ? {} : JSON.parse(text),
      headers: answer.headers,
    } as ScimAnswer;
  }

  /** A PATCH with these operations. */
  patch(path: string, ...operations: object[]): Promise<ScimAnswer> {
    return this.call('PATCH', path, {
      schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
      Operations: operations,
    });
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

/** A user as Entra ID creates one. */
export function entraUser(login: string, over: object = {}): object {
  return {
    schemas: [
      'urn:ietf:params:scim:schemas:core:2.0:User',
      'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User',
    ],
    externalId: `oid-${login}`,
    userName: `${login}@corp.example`,
    active: true,
    emails: [{ primary: true, type: 'work', value: `${login}@corp.example` }],
    meta: { resourceType: 'User' },
    name: { formatted: `${login} givenName familyName`, familyName: 'familyName', givenName: 'givenName' },
    displayName: `Person ${login}`,
    roles: [],
    ...over,
  };
}
