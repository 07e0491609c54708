import { type AnyRow, type ColumnType, shapeOf, TABLE_NAMES, type TableName } from '@sallyport/access/store';
import { toSnake } from './names.ts';

/** Names of tables as the database has them. */
const NAMES: ReadonlyMap<string, TableName> = new Map(TABLE_NAMES.map((name) => [toSnake(name), name]));
const LINE_FEED = 0x0a;
const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** The table of the domain that a table of the database is; undefined for one that this version does not know. */
export function tableNamed(name: string): TableName | undefined {
  return NAMES.get(name);
}

/**
 * Reads rows from the text of COPY as they pass: the same bytes come out, and `onRow` sees each row with the columns of the domain
 * (others are left out) before the bytes that hold it do.
 */
export async function* watchRows(
  {
    table,
    columns,
    rows,
  }: { readonly table: TableName; readonly columns: readonly string[]; readonly rows: AsyncIterable<Uint8Array> },
  onRow: (row: AnyRow) => void,
): AsyncIterable<Uint8Array> {
  const read = readerOf(table, columns);
  let rest = Buffer.alloc(0);
  for await (const bytes of rows) {
    const all =
      rest.length === 0 ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) : Buffer.concat([rest, bytes]);
    const end = all.lastIndexOf(LINE_FEED) + 1;
    for (const line of all.toString('utf8', 0, Math.max(0, end - 1)).split('\n')) if (end > 0) onRow(read(line));
    rest = Buffer.from(all.subarray(end));
    yield bytes;
  }
}

function readerOf(table: TableName, columns: readonly string[]): (line: string) => AnyRow {
  const byName = new Map(Object.entries(shapeOf(table).columns).map(([name, type]) => [toSnake(name), { name, type }]));
  const places = columns.map((column) => byName.get(column));
  return (line) => {
    const row: AnyRow = {};
    for (const [i, text] of line.split('\t').entries()) {
      const place = places[i];
      if (place) row[place.name] = text === '\\N' ? null : valueIn(text, place.type as ColumnType);
    }
    return row;
  };
}

function valueIn(text: string, type: ColumnType): unknown {
  switch (type) {
    case 'int':
      return Number(text);
    case 'bool':
      return text === 't';
    case 'bytes':
      return new Uint8Array(Buffer.from(unescaped(text).slice(2), 'hex'));
    case 'json':
      return JSON.parse(unescaped(text));
    default:
      return unescaped(text);
  }
}

function unescaped(text: string): string {
  return text.includes('\\')
    ? text.replaceAll(/\\(.)/g, (_, character: string) => ESCAPES[character] ?? character)
    : text;
}
