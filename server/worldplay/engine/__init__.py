"""Decides what runs when: sessions, the one worker thread, pacing and admission. No asyncio, no torch."""
