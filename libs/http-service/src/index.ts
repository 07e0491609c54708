export { addHealthRoutes, createService, type ErrorTable, ProblemError, type ServiceOptions } from './service.ts';
