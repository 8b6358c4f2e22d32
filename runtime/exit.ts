/**
 * Ends the process at once, even while ONNX Runtime computes in another thread.
 * `process.exit` waits for that thread and then aborts with code 134, because a native run cannot be interrupted;
 * replacing the process image makes the kernel end every thread, and the new image exits with the code we want.
 */
export function exitNow(code: number): never {
  process.execve?.(process.execPath, [process.execPath, '-e', `process.exit(${code})`], {})
  return process.exit(code)
}
