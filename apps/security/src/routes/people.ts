import {
  confirmBinding,
  disableUser,
  enableUser,
  findUser,
  listBindings,
  listGroups,
  listUsers,
  putGroup,
  putUser,
  randomId,
  refuseBinding,
  removeUser,
  renameUser,
  type UserWithGroups,
  untilInForce,
} from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import { BindingView, GroupView, RevocationView, User, UserInput, UserRename } from '@sallyport/security-api';
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { waitingNode, whenInForce } from '../farm/in-force.ts';
import type { RealmContext } from '../realm-context.ts';
import { actorOf, changing, Done, IdParam, NameParam, operation, requestIdOf } from './operation.ts';
import { CursorQuery, pageOf } from './paging.ts';
import { revocationView, WAIT_LIMIT, whenChanged } from './revoking.ts';

function userView({ user, groups }: UserWithGroups): User {
  const { id, name, displayName, enabled, directory, createdAt } = user;
  return { id, name, displayName, enabled, directory, createdAt, groups: [...groups] };
}

/** Accounts of providers that wait for an officer to say whose they are. */
function addBindingRoutes(service: FastifyInstance, { access }: RealmContext): void {
  const list = operation(
    'bindings.list',
    'Accounts that wait for an officer, a page of them',
    Type.Array(BindingView),
    {
      querystring: CursorQuery,
    },
  );
  service.get<{ Querystring: CursorQuery }>('/v1/bindings', list, async ({ query }) =>
    (await listBindings(access, pageOf(query))).map(({ binding, user }) => {
      const { id, directory, subject, login, email, createdAt } = binding;
      return { id, user, directory, subject, login, email, createdAt };
    }),
  );
  service.post<{ Params: IdParam }>(
    '/v1/bindings/:id/confirm',
    changing('bindings.confirm', "Say that an account is its user's", Done, { params: IdParam }),
    async (request) => {
      await confirmBinding(access, request.params.id, actorOf(request));
      return { done: true };
    },
  );
  service.post<{ Params: IdParam }>(
    '/v1/bindings/:id/refuse',
    changing('bindings.refuse', "Say that an account is not its user's", Done, { params: IdParam }),
    async (request) => {
      await refuseBinding(access, request.params.id, actorOf(request));
      return { done: true };
    },
  );
}

/** Users and groups. */
export function addUserRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  addBindingRoutes(service, context);
  service.get<{ Querystring: CursorQuery }>(
    '/v1/users',
    operation('users.list', 'Users in the order of their ids, a page of them', Type.Array(User), {
      querystring: CursorQuery,
    }),
    async ({ query }) => (await listUsers(access, pageOf(query))).map(userView),
  );
  service.get<{ Params: NameParam }>(
    '/v1/users/:name',
    operation('users.get', 'A user', User, { params: NameParam }),
    async ({ params }) => {
      const found = await findUser(access, params.name);
      if (!found) throw new ProblemError('ERR_ACCESS_NOT_FOUND', `no user ${params.name}`);
      return userView(found);
    },
  );
  service.put<{ Params: NameParam; Body: UserInput }>(
    '/v1/users/:name',
    changing('users.put', 'Create or change a user', User, { params: NameParam, body: UserInput }),
    async (request) => {
      const { account, directory } = request.body;
      if (account !== undefined && directory === undefined)
        throw new ProblemError('ERR_ACCESS_INVALID', 'an account is one of a directory: name that, too');
      const user = await putUser(access, request.params.name, request.body, actorOf(request));
      await whenInForce(context, user.ended, WAIT_LIMIT);
      return userView(user);
    },
  );
  service.post<{ Params: NameParam }>(
    '/v1/users/:name/disable',
    changing('users.disable', 'Disable a user and end everything of theirs', RevocationView, {
      repeatable: true,
      params: NameParam,
    }),
    async (request) => {
      const by = actorOf(request);
      const requestId = requestIdOf(request) ?? randomId(access.crypto);
      const { index, subject } = await disableUser(access, request.params.name, requestId, by);
      const force = await untilInForce(waitingNode(context), { index }, WAIT_LIMIT);
      return revocationView(context, { index, kind: 'user', subject, reason: by.reason }, force);
    },
  );
  service.post<{ Params: NameParam }>(
    '/v1/users/:name/enable',
    changing('users.enable', 'Let a disabled user in again; nothing of before revives', Done, { params: NameParam }),
    async (request) => {
      await enableUser(access, request.params.name, actorOf(request));
      return { done: true };
    },
  );
  service.delete<{ Params: NameParam }>(
    '/v1/users/:name',
    changing('users.remove', 'Remove a user with everything of theirs; the name is free again', RevocationView, {
      repeatable: true,
      params: NameParam,
    }),
    async (request) => {
      const by = actorOf(request);
      const requestId = requestIdOf(request) ?? randomId(access.crypto);
      const index = await removeUser(access, request.params.name, requestId, by);
      const force = await untilInForce(waitingNode(context), { index }, WAIT_LIMIT);
      const entry = { index, kind: 'user', subject: request.params.name, reason: by.reason } as const;
      return revocationView(context, entry, force);
    },
  );
  service.post<{ Params: NameParam; Body: UserRename }>(
    '/v1/users/:name/rename',
    changing('users.rename', 'Give a user another name', User, { params: NameParam, body: UserRename }),
    async (request) => {
      const { name } = request.body;
      const user = await renameUser(access, request.params.name, name, actorOf(request));
      await whenChanged(context);
      return userView(user);
    },
  );
  const groups = operation('groups.list', 'Groups by name, a page of them', Type.Array(GroupView), {
    querystring: CursorQuery,
  });
  service.get<{ Querystring: CursorQuery }>('/v1/groups', groups, async ({ query }) =>
    (await listGroups(access, pageOf(query))).map(({ group, count, members }) => ({
      ...group,
      count,
      members: [...members],
    })),
  );
  service.put<{ Params: NameParam }>(
    '/v1/groups/:name',
    changing('groups.put', 'Create a group', Done, { params: NameParam }),
    async (request) => {
      await putGroup(access, request.params.name, actorOf(request));
      return { done: true };
    },
  );
}
