// Writes that the API server refuses (a right, a quota, an admission policy) told from those that may yet succeed. Pure.
import { StatusError } from '../kube/errors.ts'

/** 400 is what most admission webhooks answer, 403 what RBAC and quotas do, 422 what validation does. */
const refusals: readonly number[] = [400, 403, 422]

/** The API server has understood the write and does not want it; trying the same again helps only once someone changed something. */
export const isRefused = (error: unknown): error is StatusError =>
  error instanceof StatusError && refusals.includes(error.code)
