export { createPlainServer, guardedListener, type PlainListener, pathOf } from './plain.ts';
export { addHealthRoutes, createService, type ErrorTable, ProblemError, type ServiceOptions } from './service.ts';
