import { expect, test } from 'vitest';
import {
  deleteSelected,
  insertMany,
  insertOne,
  type RealmTable,
  selectCount,
  selectOne,
  selectPage,
  sqlShape,
  updateEach,
  updateSelected,
} from '../src/statements.ts';

const shape = sqlShape('directoryGroups', {
  key: ['directory', 'subject'],
  columns: { directory: 'text', subject: 'text', changedAt: 'int', tags: 'json' },
});
const groups: RealmTable = { shape, realm: 'r' };
const LIST = '"directory" as "directory", "subject" as "subject", "changed_at" as "changedAt", "tags" as "tags"';

test('a lookup names the realm, and locks only when it is asked to', () => {
  const text = `select ${LIST} from "directory_groups" where "realm" = $1 and "directory" = $2 limit 1`;
  expect(selectOne(groups, { directory: 'd' }, undefined)).toEqual({ text, values: ['r', 'd'] });
  expect(selectOne(groups, { directory: 'd' }, 'share').text).toBe(`${text} for share`);
});

test('a page has its conditions, the order of the key and its bounds', () => {
  const page = {
    where: { subject: null },
    among: ['directory', ['a', 'b']],
    within: ['subject', ['c']],
    above: ['changedAt', 1],
    below: ['changedAt', 9],
    limit: 2,
    offset: 4,
    newestFirst: true,
  } as const;
  const { text, values } = selectPage(groups, page, 'update');
  expect(text).toBe(
    `select ${LIST} from "directory_groups" where "realm" = $1 and "subject" is null and "directory" = any($2) ` +
      'and "subject" = any($3) and "changed_at" > $4 and "changed_at" < $5 ' +
      'order by "directory" desc, "subject" desc limit $6 offset $7 for update',
  );
  expect(values).toEqual(['r', ['a', 'b'], ['c'], 1, 9, 2, 4]);
});

test('rows are written column by column, JSON as text', () => {
  const row = { tags: ['t'], changedAt: 7, subject: 's', directory: 'd' };
  const into = 'insert into "directory_groups" ("realm", "directory", "subject", "changed_at", "tags")';
  expect(insertOne(groups, row)).toEqual({
    text: `${into} values ($1, $2, $3, $4, $5)`,
    values: ['r', 'd', 's', 7, '["t"]'],
  });
  expect(insertMany(groups, [row, { ...row, tags: null }])).toEqual({
    text: `${into} select $1::text, * from unnest($2::text[], $3::text[], $4::bigint[], $5::json[])`,
    values: ['r', ['d', 'd'], ['s', 's'], [7, 7], ['["t"]', null]],
  });
});

test('changes name the realm, whether all rows change alike or each in its own way', () => {
  expect(updateSelected(groups, { where: { directory: 'd' } }, { tags: {}, changedAt: 3 })).toEqual({
    text: 'update "directory_groups" set "tags" = $1, "changed_at" = $2 where "realm" = $3 and "directory" = $4',
    values: ['{}', 3, 'r', 'd'],
  });
  const changes = [
    { key: { subject: 'a' }, change: { changedAt: 1 } },
    { key: { subject: 'b' }, change: { changedAt: 2 } },
  ];
  expect(updateEach(groups, changes)).toEqual({
    text:
      'update "directory_groups" set "changed_at" = "each"."c0" from unnest($2::text[], $3::bigint[]) as "each"("k0", "c0") ' +
      'where "directory_groups"."realm" = $1 and "directory_groups"."subject" = "each"."k0"',
    values: ['r', ['a', 'b'], [1, 2]],
  });
});

test('a statement without conditions still stays in its realm', () => {
  expect(deleteSelected(groups, {})).toEqual({
    text: 'delete from "directory_groups" where "realm" = $1',
    values: ['r'],
  });
  expect(selectCount(groups, {})).toEqual({
    text: 'select count(*) as "count" from "directory_groups" where "realm" = $1',
    values: ['r'],
  });
});

test('a name that is no identifier never reaches a statement', () => {
  expect(() => selectOne(groups, { 'x" or 1=1 --': 1 }, undefined)).toThrow(TypeError);
});
