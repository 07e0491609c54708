import { anyTable, makeTables, type Tables } from '../store/store.ts';

/** The same tables, of which is heard whenever rows were written. */
export function heardTables(tables: Tables, wrote: () => void): Tables {
  const hear = (rows: number): number => {
    if (rows > 0) wrote();
    return rows;
  };
  return makeTables((name) => {
    const table = anyTable(tables, name);
    return {
      find: (key, lock) => table.find(key, lock),
      list: (page, lock) => table.list(page, lock),
      count: (selection) => table.count(selection),
      tally: (columns, selection) => table.tally(columns, selection),
      insert: (row) => table.insert(row).then(() => void hear(1)),
      insertEach: (rows) => table.insertEach(rows).then(() => void hear(rows.length)),
      update: (selection, change) => table.update(selection, change).then(hear),
      updateEach: (changes) => table.updateEach(changes).then(() => void hear(changes.length)),
      remove: (selection) => table.remove(selection).then(hear),
    };
  });
}
