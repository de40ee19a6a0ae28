package org.example.splitcache;

import java.util.ArrayList;
import java.util.List;

/**
 * How a program uses splitcache: tour makes each call once, follow follows the changes.
 *
 * <pre>
 * java -jar splitcache-example.jar tour ADDRESS
 * java -jar splitcache-example.jar follow ADDRESS [--writers a,b]
 * </pre>
 *
 * ADDRESS is host:port or unix:/path.
 */
public final class Main {
  private Main() {}

  public static void main(String[] args) throws Exception {
    if (args.length < 2 || !List.of("tour", "follow").contains(args[0])) {
      System.err.println("usage: tour|follow ADDRESS [--homeserver NAME] [--writers a,b]");
      System.exit(2);
    }
    String homeserver = "example.org";
    List<String> writers = new ArrayList<>();
    for (int i = 2; i + 1 < args.length; i += 2) {
      switch (args[i]) {
        case "--homeserver" -> homeserver = args[i + 1];
        case "--writers" -> writers.addAll(List.of(args[i + 1].split(",")));
        default -> throw new IllegalArgumentException(args[i]);
      }
    }
    // Ends a follower with 0 at SIGTERM, as it is meant to end.
    if (args[0].equals("follow")) {
      Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(Follower.exitCode)));
    }
    try (Cache cache = new Cache(args[1], homeserver, writers)) {
      if (args[0].equals("tour")) {
        new Tour(cache).run();
      } else {
        new Follower(cache).run();
      }
    } catch (Cache.TwoSidecars found) {
      System.out.println(found.getMessage());
      Follower.exitCode = 3;
      System.exit(3);
    }
  }
}
